#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A disk whose controller had failed before this guest came: errors, and nothing waits for ever.
await test -b /dev/vda
refuse "read" dd if=/dev/vda of=/run/x bs=4k count=1 iflag=direct status=none
grep -q "Input/output error" /run/check.out || fail "another error: $(cat /run/check.out)"
