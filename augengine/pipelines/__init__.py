"""Training pipelines that the engine feeds: each is a file, from its settings to its loss.

finetune        a pretrained body, frozen or at a low learning rate, is trained under a new head
distill         a student learns from a teacher's answers to the same augmented images
pseudo_label    a model labels what has no labels, and learns from both; `fixmatch` does so as it trains
noisy_student   teacher → pseudo-labels → larger, noised student → the next teacher

Start one by `run(Settings(...))` of its file, or by `augengine train`. They need
`pip install 'augengine[train]'`.
"""
