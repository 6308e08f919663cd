TopK = None
streaming_topk = None
