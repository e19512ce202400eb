"""An OpenAI-compatible server for one GGUF file: JSON-schema-constrained streaming.

Started as a process of its own by the local stack; prints one line with its address once it serves.
"""

import argparse
import os
import signal
import sys
import threading

import xllamacpp


def parameters(options: argparse.Namespace) -> xllamacpp.CommonParams:
    """Slots share the context evenly, so the whole of it is slots times the context of one."""
    threads = options.threads or os.cpu_count() or 2
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.cache_prompt = True
    params.cache_ram_mib = 1024
    params.cont_batching = True
    params.ui = False
    params.verbosity = 1
    return params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="path of the GGUF file")
    parser.add_argument("--alias", required=True, help="the name that requests give as model")
    parser.add_argument("--port", type=int, required=True)
    # Without a GPU, answers that are written at once are each slower by as much. One after the other they share what
    # is the same at the beginning of their prompts, which is read once.
    parser.add_argument("--slots", type=int, default=1, help="answers written at once")
    parser.add_argument("--context", type=int, default=6144, help="tokens of context per slot")
    parser.add_argument("--threads", type=int, help="default: the number of cores")
    options = parser.parse_args()

    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())
    server = xllamacpp.Server(parameters(options))
    print(f"serving {options.alias} at {server.listening_address}", flush=True)
    stopped.wait()
    sys.stdout.flush()
    os._exit(0)  # the native threads have nothing to save, and joining them can take seconds


if __name__ == "__main__":
    main()
