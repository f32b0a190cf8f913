"""Ask a running `cuewise serve` with the official OpenAI client, streamed: python examples/serve_openai.py CLIP"""

import base64
import sys
from pathlib import Path

import openai

client = openai.OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="unused")
data = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode()
part = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}}
stream = client.chat.completions.create(model="nano", messages=[{"role": "user", "content": [part]}], stream=True)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    report = chunk.model_extra.get("emotion") or {}
    for cue in report.get("cues", []):
        print("\n", cue["channel"], cue["observation"], (cue["check"] or {}).get("verdict"), end="")
print()
