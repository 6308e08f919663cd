"""stub"""
def write_card(folder, config, made): pass
