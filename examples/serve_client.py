"""Ask a running `cuewise serve` with our own client: a report, then a timeline: python examples/serve_client.py CLIP"""

import sys

from cuewise.client import Client

with Client("http://127.0.0.1:8000") as client:
    report = client.analyze(sys.argv[1])
    print(", ".join(emotion.label for emotion in report.emotions), "· unsure" if report.unsure else "")
    for event in client.timeline(sys.argv[1], form="direct", window_s=4, hop_s=2):
        if event["type"] == "segment":
            print(f"{event['start']:6.2f}-{event['end']:6.2f} s  {event['label']}")
