"""Judges of every kind: what they say is read, counted, kept on disk once, and asked for once."""

import json
import multiprocessing

import endpoint
import numpy as np
import pytest

from cuewise.eval.judges.base import Judge, JudgeAsk, JudgeError, clip_hash
from cuewise.eval.judges.cache import ReplyCache
from cuewise.eval.judges.load import load_judge
from cuewise.eval.judges.words import emotion_words
from cuewise.mllm.clip import Clip


def overlap(name, reference="Her brows are lowered.", prediction="She frowns.", **more):
    return JudgeAsk(id=name, task="clue_overlap", fields={"reference": reference, "prediction": prediction}, **more)


def test_an_endpoint_judges_and_its_bad_replies_are_counted_not_repaired():
    replies = {"good": '{"score": 8}', "high": '{"score": 11}', "chatty": "I would say 7", "down": (400, "no")}

    def answer(body):
        text = body["messages"][0]["content"][-1]["text"]
        return next(reply for name, reply in replies.items() if f"<<<{name}>>>" in text)

    with endpoint.serving(answer) as served, load_judge(f"openai:j@{served.url}") as judge:
        found = judge.ask([overlap(name, prediction=name) for name in replies])
        facts = judge.describe()
    assert [reply.value for reply in found] == [8, None, None, None]
    assert found[0].problem is None and found[1].problem == "invalid: score must lie in 1..10, got 11"
    assert found[2].problem.startswith("invalid: no JSON") and found[3].problem.startswith("error: refused")
    assert facts["counts"] == {"clue_overlap": {"asked": 4, "invalid": 2, "errors": 1}}
    record = found[1].record()
    assert record["reply"] == '{"score": 11}' and record["model"] == "j" and record["temperature"] == 0.0
    assert len(record["prompt_hash"]) == 64 and record["prompt_hash"] != found[0].prompt_hash
    assert served.requests[0]["max_tokens"] == 32 and served.requests[0]["temperature"] == 0.0


def test_replies_are_cached_by_content_and_equal_questions_asked_once(tmp_path):
    with endpoint.serving(lambda body: '{"score": 5}') as served:
        def ask(*asks, model="j"):
            with load_judge(f"openai:{model}@{served.url}", cache=tmp_path) as judge:
                return judge.ask(asks)

        first = ask(overlap("a"), overlap("b"), overlap("c", prediction="other"))
        assert len(served.requests) == 2 and [r.cached for r in first] == [False] * 3
        again = ask(overlap("x"), overlap("y", prediction="other"))
        assert len(served.requests) == 2 and [r.cached for r in again] == [True] * 2
        assert again[0].text == first[0].text and again[0].id == "x"
        ask(overlap("a", temperature=0.5))
        ask(overlap("a", temperature=0.5, seed=1))
        ask(overlap("a"), model="k")
        ask(overlap("a", seed=7))  # a seed changes nothing at temperature 0
        assert len(served.requests) == 5


def test_errors_are_not_cached(tmp_path):
    state = {"broken": True}

    def answer(body):
        return (400, "no") if state["broken"] else '{"score": 5}'

    with endpoint.serving(answer) as served, load_judge(f"openai:j@{served.url}", cache=tmp_path) as judge:
        assert judge.ask([overlap("a")])[0].value is None
        state["broken"] = False
        assert judge.ask([overlap("a")])[0].value == 5


def test_the_clip_is_shown_to_judges_that_look_and_is_part_of_the_key(tmp_path):
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    dark, bright = (Clip(frames=frames + level, fps=2.0) for level in (0, 200))
    fields = {"steps": ["He smiles."], "prediction": "happy", "gold": "happy", "frames_shown": True}
    clips = (dark, bright, dark)
    asks = [JudgeAsk(id=str(i), task="mme_judge", fields=fields, clip=clip) for i, clip in enumerate(clips)]
    with endpoint.serving(lambda body: '{"steps": [1], "result": 1}') as served:
        with load_judge(f"openai:j@{served.url}", cache=tmp_path) as judge:
            assert [reply.value for reply in judge.ask(asks)] == [[1.0, 1.0]] * 3
    kinds = [[part["type"] for part in body["messages"][0]["content"]] for body in served.requests]
    assert kinds == [["image_url", "image_url", "text"]] * 2
    assert clip_hash(dark) != clip_hash(bright) and clip_hash(dark) == clip_hash(Clip(frames=frames.copy(), fps=2.0))
    assert clip_hash(dark) != clip_hash(Clip(frames=frames, fps=2.0, end=0.5))


def write_many(folder, number):
    cache = ReplyCache(folder)
    for key in range(40):
        stored = cache.put(f"{key:064x}", {"reply": f"{number}-{key}" * 200})
        assert stored["reply"].endswith(f"-{key}")


def test_many_writers_leave_one_whole_record_per_key(tmp_path):
    spawned = multiprocessing.get_context("fork")
    workers = [spawned.Process(target=write_many, args=(tmp_path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    cache = ReplyCache(tmp_path)
    for key in range(40):
        pieces = set(cache.get(f"{key:064x}")["reply"].split(f"-{key}"))
        assert len(pieces - {""}) == 1
    assert not list(tmp_path.rglob("*.part"))


def test_the_first_reply_stays_and_a_damaged_file_gives_way(tmp_path):
    cache, key = ReplyCache(tmp_path), "ab" * 32
    assert cache.put(key, {"reply": "first"})["reply"] == "first"
    assert cache.put(key, {"reply": "second"})["reply"] == "first"
    path = tmp_path / "ab" / f"{key}.json"
    path.write_text('{"reply": "fi')
    assert cache.get(key) is None
    assert cache.put(key, {"reply": "third"})["reply"] == "third" == cache.get(key)["reply"]
    path.write_text('{"reply": 3}')
    assert cache.get(key) is None


def test_unknown_judges_are_refused_with_the_known_ones(tmp_path):
    for spec, message in (("sub", "did you mean `stub`"), ("gpt", "judges are stub"), ("openai:x", "openai:MODEL@http"),
                          (f"local:{tmp_path}", "no config.json"), ("local:", "judges are stub")):  # fmt: skip
        with pytest.raises(JudgeError, match=message):
            load_judge(spec)
    with pytest.raises(JudgeError, match="takes no options, got device"):
        load_judge("stub", device="cpu")


# The stub


STUBBED = [
    ("clue_overlap", {"reference": "brows lowered", "prediction": "brows lowered"}, 10),
    ("clue_overlap", {"reference": "brows lowered", "prediction": "loud voice"}, 1),
    ("label_overlap", {"reference": ["angry"], "prediction": ["mad", "angry"]}, None),
    ("label_overlap", {"reference": ["angry"], "prediction": ["happy"]}, 1),
    ("extract_labels", {"text": "He seems worried and anxious, but not angry."}, ["worried", "anxious"]),
    ("extract_labels", {"text": "The face is neutral."}, ["neutral"]),
    ("extract_labels", {"text": "<think>x</think><answer>glad, proud</answer>"}, ["glad", "proud"]),
    ("sentiment_word", {"labels": ["happy", "joyful", "sad"]}, "positive"),
    ("sentiment_word", {"labels": []}, "neutral"),
    ("mme_steps", {"answer": "Step 1: She frowns.\nStep 2: Her voice is loud.\nStep 3: She is angry."},
     {"steps": ["She frowns.", "Her voice is loud."], "prediction": "She is angry."}),
    ("mme_steps", {"answer": "I cannot determine the emotion."}, {"steps": [], "prediction": None}),
    ("mme_judge", {"steps": ["She smiles.", "She is happy."], "prediction": "furious", "gold": "angry"}, [1, 0, 1]),
    ("mme_judge", {"steps": [], "prediction": "joyful", "gold": ["happy", "sad"]}, [0.5]),
    ("emocue_cues", {"text": "She frowns, her voice is loud. She is angry."},
     {"visual": ["She frowns"], "auditory": ["her voice is loud"], "emotional": ["angry"]}),
    ("reason_check", {"reason": "He trembles and looks scared.", "candidates": ("happy", "fearful")}, "fearful"),
    ("reason_check", {"reason": "He stands there."}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("task", "fields", "value"), STUBBED)
def test_the_stub_follows_its_rules_and_its_schema(task, fields, value):
    with load_judge("stub") as judge:
        first, second = judge.ask([JudgeAsk(id=str(i), task=task, fields=fields) for i in range(2)])
        assert "not a model" in judge.describe()["note"]
    assert first.problem is None and first.value == second.value
    assert value is None or first.value == value


def test_the_stub_takes_any_text():
    nasty = ["", " ", "\x00", "a" * 10_000, "🙂" * 500, "not " * 100, "<think>", "1. \n2. \n", "\n".join("x." * 99)]
    texts = {"reference", "prediction", "text", "answer", "reason"}
    for task, fields, _ in STUBBED:
        for text in nasty:
            asked = {key: text if key in texts and isinstance(old, str) else old for key, old in fields.items()}
            reply = Judge(load_judge("stub").writer).ask([JudgeAsk(id="x", task=task, fields=asked)])[0]
            assert reply.problem is None, (task, text[:20], reply.problem)
            json.dumps(reply.record())


def test_emotion_words_are_found_where_they_are_meant():
    assert emotion_words("She smiles. Not angry at all, but without joy; she is sad.") == ["sad"]
    assert emotion_words("an open face, warm light, a strong voice, close to the camera") == []
