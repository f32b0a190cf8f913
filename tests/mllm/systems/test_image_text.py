"""A family that no adapter knows, through the general way for image-text models."""

import media_samples
import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system

pytestmark = pytest.mark.slow

TEMPLATE = (
    "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}"
    "{{ c['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
)
SMALL = MediaConfig(num_frames=3, frame_size=64, detector="none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A LLaVA of a few thousand weights."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True) for name in ("<pad>", "</s>", "<image>")])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", clean_up_tokenization_spaces=False
    )
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "image_size": 28, "patch_size": 14, "projection_dim": 16, "model_type": "clip_vision_model"}  # fmt: skip
    text = {"model_type": "llama", "vocab_size": 259, "hidden_size": 16, "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": 257,
            "pad_token_id": 256}  # fmt: skip
    config = transformers.LlavaConfig(vision_config=tower, text_config=text, image_token_index=258)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("llava")
    transformers.LlavaForConditionalGeneration(config).save_pretrained(path)
    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    transformers.LlavaProcessor(
        image_processor=pictures, tokenizer=tokenizer, patch_size=14, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=TEMPLATE,
    ).save_pretrained(path)  # fmt: skip
    return path


def test_frames_are_shown_as_images_and_counted(folder):
    clip = Clip(frames=media_samples.pattern(6, (64, 48)), fps=5.0, transcript="an <image> of joy")
    with load_system(folder, media=SMALL, max_tokens=4) as system:
        shown, words, still = system.answer([
            Ask(id="film", clip=clip), Ask(id="words", clip=Clip(transcript="so sad")),
            Ask(id="still", clip=Clip(frames=media_samples.pattern(1, (64, 48)), fps=1.0)),
        ])  # fmt: skip
    assert not any(reply.error for reply in (shown, words, still))
    assert (shown.usage["media_tokens"], words.usage["media_tokens"], still.usage["media_tokens"]) == (12, 0, 4)


def test_a_folder_without_a_chat_template_says_what_to_add(folder, tmp_path):
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    for path in bare.glob("chat_template*"):
        path.unlink()
    with pytest.raises(SystemLoadError, match=r"add chat_template.jinja"):
        load_system(bare, media=SMALL)
