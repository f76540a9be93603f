"""The process of a llama.cpp server: `python llama_process.py <port> <model> [--eyes FILE] [--key KEY]`.

Its package is where `install.py` put it, so it is found by name when it runs.
"""

import argparse
import threading
from importlib import import_module


class Options(argparse.Namespace):
    """What the command line said."""

    port: int
    model: str
    eyes: str
    key: str


def serve(options: Options) -> None:
    """Serve on loopback until the process is ended."""
    llama = import_module("xllamacpp")
    given = llama.CommonParams()
    given.hostnames = ["127.0.0.1"]
    given.port = options.port
    given.model.path = options.model
    given.model_alias = {"tiny"}
    given.mmproj.path = options.eyes
    given.api_keys = [options.key] if options.key else []
    given.offline = True
    given.n_ctx, given.n_parallel = 4096, 1
    given.cpuparams.n_threads = 1
    given.use_jinja, given.warmup = True, False
    server = llama.Server(given)
    threading.Event().wait()
    del server


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("model")
    parser.add_argument("--eyes", default="")
    parser.add_argument("--key", default="")
    serve(parser.parse_args(namespace=Options()))
