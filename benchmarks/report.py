def describe_machine(): return ""
def draw_page(r): return ""
