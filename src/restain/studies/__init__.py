"""Reader studies: pathologists read virtual and real stains without knowing which is which. No torch.

``make_study`` draws the cases and their order and encodes the images, ``serve_study`` shows them to the readers and
keeps the answers, ``analyse_study`` joins the answers with the key.
"""
