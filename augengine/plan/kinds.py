"""The numbers that stand in a plan: kinds of steps, statistics, borders and filters, and the columns of a
step's arguments.
"""

from __future__ import annotations

# step_kind
NONE, MATRIX, CURVE, HUE, NOISE, TONE, GAINS, IMPULSE, GAMMA, ADD_BELOW = range(10)
NO_STATISTIC, MEAN, RANGE, HISTOGRAM = range(4)  # statistic
CONSTANT, EDGE, REFLECT, SYMMETRIC = range(4)  # border
# filter[:, FILTER_KIND]
NO_FILTER, GAUSSIAN, SHARPNESS, MOTION, SMOOTH_MOTION, DISC, SHADE = range(7)
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
# Pixels of a motion's line, and of a disc's radius: either weighs a thousand pixels at most.
MOST_LINE, MOST_RADIUS = 63, 15
MOST_ALIAS = 100  # deviation of a disc's softened edge
MOST_TURN = 2.0**20  # degrees

# The weights of grey: ITU-R 601 luma to four digits, as torchvision has it (PIL: 0.299, 0.587, 0.114).
GREY = (0.2989, 0.587, 0.114)

# The columns of step_arg, by the step's kind.
# MATRIX: 3×4, row by row; the last entry of each row is the offset, the diagonal the gain. Of other than
# three channels each has the first row's.
MATRIX_COLUMNS = 4
MATRIX_GAINS, MATRIX_OFFSETS = (0, 5, 10), (3, 7, 11)
MATRIX_MIXES = (1, 2, 4, 6, 8, 9)  # the others: entries that mix channels
# CURVE: the row of `curves`, each of which has an entry for every byte of each channel.
# GAINS, of other than three channels, for which a MATRIX has no room: the row of `curves`, whose first
# entries are each channel's gain and offset.
# HUE: the turn, 1 being the whole circle.
CURVE_ROW, CURVE_ENTRIES = 0, 256
GAIN_AT, OFFSET_AT = 0, 1
HUE_TURNS = 0
# NOISE: mean and deviation in [0, 1], then two words below 2^24 that key it.
NOISE_MEAN, NOISE_SIGMA, NOISE_KEY = 0, 1, 2
# TONE, in bytes and in this order: bytes from the threshold on are inverted; then each channel becomes
# (byte − low) / scale, three lows and three scales, of which other than three channels take the first;
# then multiples of the step. Of sources of bytes all of it is done in whole bytes; of others in values,
# 255 being 1, and nothing is rounded but to steps.
TONE_THRESHOLD, TONE_STEP, TONE_INVERSE_STEP, TONE_LOW, TONE_SCALE = 0, 1, 2, 3, 6
NEUTRAL_TONE = (256, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0)
# IMPULSE: the share of the pixels that become white, the share of those that become white or black, then
# two words below 2^24 that key it.
IMPULSE_SALT, IMPULSE_AMOUNT, IMPULSE_KEY = 0, 1, 2
# GAMMA: value ** exponent · gain. ADD_BELOW: what is below the threshold gets so much more, in bytes. Both
# of whole bytes or of values, as a TONE.
GAMMA_EXPONENT, GAMMA_GAIN = 0, 1
LEAST_EXPONENT, MOST_EXPONENT = 2.0**-20, 2.0**20
ADD_THRESHOLD, ADD_AMOUNT = 0, 1

# Slopes of cubic filters: PIL's, and that of resizing without antialiasing, as torch and OpenCV have it.
ANTIALIASED_SLOPE, PLAIN_SLOPE = -0.5, -0.75

# The columns of filter: the kind, then GAUSSIAN: sigma and how far it reaches along x and y, in pixels;
# SHARPNESS: the factor; MOTION (its line resampled by the nearest pixel) and SMOOTH_MOTION (bilinearly): the
# line's length in pixels, an odd number, its angle in degrees, and −1 … 1 for the end that weighs more;
# DISC: its radius and the deviation that softens its edge, in pixels; SHADE: what values in the shadow are
# multiplied by, the angle in degrees of the way into the light, and how far along it the edge lies from the
# top left corner, in pixels.
FILTER_KIND, FILTER_SIGMA, FILTER_FACTOR, FILTER_REACH_X, FILTER_REACH_Y = 0, 1, 1, 2, 3
FILTER_LENGTH, FILTER_ANGLE, FILTER_DIRECTION = 1, 2, 3
FILTER_RADIUS, FILTER_ALIAS = 1, 2
FILTER_GAIN, FILTER_OFFSET = 1, 3
