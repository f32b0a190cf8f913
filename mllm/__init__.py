"""The model, and all that is needed to run it on one clip. Knows no corpus, no trainer and no HTTP."""
