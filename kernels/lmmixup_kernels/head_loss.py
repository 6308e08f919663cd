lm_head_loss = None
