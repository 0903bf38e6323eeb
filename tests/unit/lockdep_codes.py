#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# lockdep_codes.py - V24: each code that the validator has is left out once, and a test notices: lockdep_codes.py
# lockdep.h CODE...
import re
import sys

with open(sys.argv[1], encoding='utf-8') as header:
    table = header.read().split('#define NST_LOCKDEP_TABLE(X)')[1].split('#define')[0]
has, left_out = set(re.findall(r'X\((\w+),', table)), set(sys.argv[2:])
if has == left_out and has:
    print(f'ok V24 {len(has)} codes')
else:
    print(f'not ok V24 codes without a twin: {sorted(has - left_out)}; twins without a code: {sorted(left_out - has)}')
sys.exit(has != left_out or not has)
