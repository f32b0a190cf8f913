"""Of a long context the parts that matter reach the clip, when the client asks for it."""

from long_texts import EVIDENCE, long_text

from cuewise.mllm.prompts import MAX_CONTEXT_CHARS
from cuewise.serve.reading import make_clip
from cuewise.serve.schema import EmotionOptions


def context(**options) -> str:
    given = EmotionOptions(transcript="Was it Mira's letter?", context=long_text(35), **options)
    return make_clip(given, None, None).context


def test_a_long_context_is_searched_on_request_and_else_left_as_it_is():
    assert context() == long_text(35) and EVIDENCE not in long_text(35)[:MAX_CONTEXT_CHARS]
    found = context(retrieve=True)
    assert EVIDENCE in found and len(found) <= MAX_CONTEXT_CHARS
