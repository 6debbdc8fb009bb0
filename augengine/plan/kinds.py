"""The numbers that stand in a plan: kinds of steps, statistics, borders and filters, and the columns of a
step's arguments.
"""

from __future__ import annotations

NONE, MATRIX, CURVE, HUE, NOISE, TONE = range(6)  # step_kind
NO_STATISTIC, MEAN, RANGE, HISTOGRAM = range(4)  # statistic
CONSTANT, EDGE, REFLECT, SYMMETRIC = range(4)  # border
NO_FILTER, GAUSSIAN, SHARPNESS = range(3)  # filter[:, FILTER_KIND]
NO_VIEW, PLAIN_COLOUR = -1, -2  # view, where it is not a view's number

STEP_ARGS, LOG_ARGS, FILTER_ARGS = 12, 6, 4
DTYPES = ("float32", "float16", "bfloat16", "uint8")

# What bounds the numbers of a plan, so that executors may follow them without a look. Up to 2²³ pixels
# float32 tells the centre of each pixel along a side from its edges.
MOST_SIDE = 2**23
# Entries of a matrix. A point of an output, and what a border makes of it, is then finite in float32.
MOST_ENTRY = 2.0**40
# Arguments of colour steps and filters, whose sums of products are then finite.
MOST_ARGUMENT = 2.0**100
# Filters that a view may look through, one behind the other.
MOST_DEPTH = 256

# The weights of grey: ITU-R 601 luma to four digits, as torchvision has it (PIL: 0.299, 0.587, 0.114).
GREY = (0.2989, 0.587, 0.114)

# The columns of step_arg, by the step's kind.
# MATRIX: 3×4, row by row; the last entry of each row is the offset, the diagonal the gain.
MATRIX_COLUMNS = 4
MATRIX_GAINS, MATRIX_OFFSETS = (0, 5, 10), (3, 7, 11)
MATRIX_MIXES = (1, 2, 4, 6, 8, 9)  # the others: entries that mix channels
# CURVE: the row of `curves`, each of which has an entry for every byte of three channels.
# HUE: the turn, 1 being the whole circle.
CURVE_ROW = 0
CURVE_CHANNELS, CURVE_ENTRIES = 3, 256
HUE_TURNS = 0
# NOISE: mean and deviation in [0, 1], then two words below 2^24 that key it.
NOISE_MEAN, NOISE_SIGMA, NOISE_KEY = 0, 1, 2
# TONE, in bytes and in this order: bytes from the threshold on are inverted; then each channel becomes
# (byte − low) / scale, three lows and three scales; then multiples of the step.
TONE_THRESHOLD, TONE_STEP, TONE_INVERSE_STEP, TONE_LOW, TONE_SCALE = 0, 1, 2, 3, 6
NEUTRAL_TONE = (256, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0)

# The columns of filter: the kind, then GAUSSIAN: sigma and how far it reaches along x and y, in pixels;
# SHARPNESS: the factor.
FILTER_KIND, FILTER_SIGMA, FILTER_FACTOR, FILTER_REACH_X, FILTER_REACH_Y = 0, 1, 1, 2, 3
