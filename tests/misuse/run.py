#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run - check what one misuse prints and how it ends: run.py PROGRAM SOURCE

The charter comment of the source says what must happen, in lines of its own:

	level: debug:1, misuse:continue		added to NOSTALL_CONF
	exit: abort				or a number
	says: nostall: ... 0xN ... FILE:LINE	one a line of stderr, in order; none: it says nothing
	or: nostall: ...			the same where there are no sequences, if that differs
	clause: B7				of docs/contract.md

The text must be equal. Only what no run has in common is replaced before: numbers written 0x...
become 0xN, a report's id becomes ID, a caller's file loses its folders, LINE stands for the line marked HERE in the source,
PID for the process.
"""
import os
import re
import shlex
import signal
import subprocess
import sys


def directives(source):
    wanted = {'level': '', 'exit': '0', 'says': [], 'or': [], 'clause': ''}
    for line in open(source, encoding='utf-8'):
        match = re.match(r' \*\t(level|exit|says|or|clause): (.*)', line.rstrip('\n'))
        if match and match[1] in ('says', 'or'):
            wanted[match[1]].append(match[2])
        elif match:
            wanted[match[1]] = match[2]
        if line.startswith(' */'):
            return wanted
    sys.exit(f'{source}: no charter comment')


def here(source):
    for number, line in enumerate(open(source, encoding='utf-8'), 1):
        if '/* HERE */' in line:
            return number
    return 0


def normal(line, program):
    line = re.sub(r'0x[0-9a-f]+', '0xN', line)
    line = re.sub(r'\(for \d+ ms\)', '(for N ms)', line)
    line = re.sub(r'(\bthread \w+) \(\d+\)', r'\1 (N)', line)  # the worker may have come before it, or not
    line = re.sub(r'\bid=[0-9a-f]{16}$', 'id=ID', line)
    line = re.sub(r'(\(|\s)\S*/([^\s/]+\.c:\d+)', r'\1\2', line)
    return line.replace(os.path.basename(program), 'PROGRAM')


def main():
    program, source = sys.argv[1:3]
    wanted = directives(source)
    conf = [os.environ.get('NOSTALL_CONF', ''), wanted['level'].replace(' ', '')]
    environment = dict(os.environ, NOSTALL_CONF=','.join(part for part in conf if part))
    # What the sanitizers say of the program's end is not the library's line.
    environment['ASAN_OPTIONS'] = 'handle_abort=0:detect_leaks=0'
    # Of another CPU kind: meson says what runs it.
    command = [*shlex.split(os.environ.get('MESON_EXE_WRAPPER', '')), program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    status = 'abort' if result.returncode == -signal.SIGABRT else str(result.returncode)
    # The emulator has a line of its own for a program that aborts.
    # Callers are there where a compiler keeps frame pointers: unit/lockdep_stack is about them.
    said = [normal(line, program) for line in result.stderr.splitlines()
        if not line.startswith('qemu: uncaught target signal') and not re.match(r' +called by ', line)]
    says = [line.replace('LINE', str(here(source))) for line in wanted['says']]
    name = f'{wanted["clause"]} {os.path.basename(source)[:-2]}'
    good = True
    other = [line.replace('LINE', str(here(source))) for line in wanted['or']]
    if said != says and (said != other or not other):
        good = False
        print(f'not ok {name}: stderr is')
        print('\n'.join(f'\t{line}' for line in said or ['(nothing)']))
        print('and not')
        print('\n'.join(f'\t{line}' for line in says or ['(nothing)']))
    if status != wanted['exit']:
        good = False
        print(f'not ok {name}: it ends with {status}, not {wanted["exit"]}')
    if result.stdout:
        print(result.stdout, end='')
    if good:
        print(f'ok {name}')
    return 0 if good else 1


sys.exit(main())
