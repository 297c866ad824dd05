# SPDX-License-Identifier: BSD-3-Clause
"""The two ways a guest run ends early."""


class GuestError(Exception):
    """Something that should have worked did not: the test fails."""


class Unavailable(Exception):
    """The machine lacks something no package mends: the test is skipped, with this reason."""
