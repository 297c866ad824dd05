# SPDX-License-Identifier: BSD-3-Clause
"""Guests for tests: a Debian kernel, an initramfs, a QEMU and what to say to it. Standard library only."""
