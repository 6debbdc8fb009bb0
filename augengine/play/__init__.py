"""A page in the browser where a policy is built by hand and seen at once.

`forms` makes fields of an op's arguments, `steps` is the list that the page holds and its texts, `presets`
what it begins with, `pictures` what is drawn, `guard` what the server refuses, `page` the page itself, and
`command` what `augengine play` does.
"""
