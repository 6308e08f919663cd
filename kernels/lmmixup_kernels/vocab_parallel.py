vocab_parallel_logprobs = None
