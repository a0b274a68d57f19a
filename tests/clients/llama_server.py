"""`llama_server.py MODEL`: one llama.cpp server on a free port, in a process of its own so that a test can stop it.

It prints its address when it listens.
"""

import signal
import sys

from xllamacpp import CommonParams, Server, llama_pooling_type


def serve(model: str) -> None:
    """Serves chat and embeddings of one model until a signal ends the process."""
    params = CommonParams()
    params.model.path = model
    params.model_alias = {"tiny"}
    params.port = 0
    # Two requests at a time, each with the whole of what the model can hold.
    params.n_parallel = 2
    params.n_ctx = 2 * 4096
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # What was asked before must not change the last digits of what is computed now.
    params.cache_prompt = False
    params.embedding = True
    params.pooling_type = llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1])
