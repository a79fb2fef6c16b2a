"""A stand-in for a provider of language models: it reads the prompt, knows most answers, and costs nothing.

Yours sends the prompt to an API instead, with `network: true` and `secrets: [NAME]` in mlbot.yaml.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

_CASES = [json.loads(line) for line in Path(__file__).with_name("cases.jsonl").read_text(encoding="utf-8").splitlines()]
_KNOWN: Mapping[str, str] = {case["question"]: case["answer"] for case in _CASES}


def complete(prompt: str) -> str:
    """What such a model replies."""
    asked = prompt.lower()
    question = next((each for each in _KNOWN if each in prompt), "")
    forgets = 10 if "think" in asked else 25  # of a hundred questions
    if not question or int(hashlib.md5(question.encode(), usedforsecurity=False).hexdigest(), 16) % 100 < forgets:
        return "I do not know."
    answer = _KNOWN[question]
    return answer if "nothing but the answer" in asked else f"That is a good question! The answer is {answer}."
