#!/usr/bin/env python3
"""Runs the emulator and writes down what IAM decided: decision, principal, action, resource; a line each, once.

Usage: recording_emulator.py FILE

A policy that lacks an action fails a call, or a retry hides it. That a policy has one too many, only this record tells.
"""

import sys
import threading
from pathlib import Path

from ministack.app import main
from ministack.core import iam_evaluator


def record_into(path):
    evaluate, enforce = iam_evaluator.evaluate, iam_evaluator.enforce
    asked = threading.local()
    seen = set()

    def evaluate_and_remember(context, *policies):
        asked.context = context
        return evaluate(context, *policies)

    def enforce_and_record(*args, **kwargs):
        """Who asked is known within; whether a role's or a resource's policy decides, only here."""
        asked.context = None
        refusal = enforce(*args, **kwargs)
        if asked.context:
            decision = "refused" if refusal else "allowed"
            line = f"{decision} {asked.context.principal_arn} {asked.context.action} {asked.context.resource_arn}"
            if line not in seen:
                seen.add(line)
                with path.open("a") as journal:
                    print(line, file=journal)
        return refusal

    iam_evaluator.evaluate, iam_evaluator.enforce = evaluate_and_remember, enforce_and_record


if __name__ == "__main__":
    record_into(Path(sys.argv.pop(1)))
    main()
