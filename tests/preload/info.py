#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# R10
"""info - malloc_info() writes a document that an XML parser takes, with figures that move as they should;
malloc_stats() writes lines. Runs with the preload: this interpreter's malloc is what is asked."""
import ctypes
import os
import sys
import tempfile
import xml.etree.ElementTree as xml

NR, SIZE, LARGE, EINVAL = 2000, 3000, 5 << 20, 22

libc = ctypes.CDLL(None)
for name in ('malloc', 'fopen'):
	getattr(libc, name).restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
bad = 0


def check(holds, name, why=''):
	global bad
	print(f'ok {name}' if holds else f'not ok {name}: {why}')
	bad |= not holds


def info(options=0):
	"""(result, what was written)"""
	with tempfile.NamedTemporaryFile() as file:
		stream = libc.fopen(file.name.encode(), b'w')
		result = libc.malloc_info(options, stream)
		libc.fclose(stream)
		return result, file.read().decode()


def stats():
	with tempfile.TemporaryFile() as file:
		kept = os.dup(2)
		os.dup2(file.fileno(), 2)
		libc.malloc_stats()
		os.dup2(kept, 2)
		file.seek(0)
		return file.read().decode()


def number(root, path, attribute):
	return int(root.find(path).get(attribute))


def used(root):
	"""Objects in use of the class of SIZE."""
	return sum(int(s.get('used')) for s in root.findall('heap/sizes/size')
		if int(s.get('from')) <= SIZE <= int(s.get('to')))


result, text = info()
before = xml.fromstring(text)
check(result == 0 and before.tag == 'malloc' and before.get('version') == '1', 'the document', text[:80])
check(before.find('heap').get('library', '').startswith('nostall '), 'whose', text[:80])
objects = [libc.malloc(SIZE) for _ in range(NR)] + [libc.malloc(LARGE)]
after = xml.fromstring(info()[1])
check(used(after) >= used(before) + NR, 'its class', f'{used(before)}, then {used(after)}')
check(number(after, "total[@type='mmap']", 'count') == number(before, "total[@type='mmap']", 'count') + 1,
	'one mapping more', xml.tostring(after))
check(number(after, "total[@type='mmap']", 'size') >= number(before, "total[@type='mmap']", 'size') + LARGE,
	'of that size', xml.tostring(after))
grown = number(after, "system[@type='current']", 'size') - number(before, "system[@type='current']", 'size')
check(NR * SIZE * 3 // 4 <= grown <= NR * SIZE * 4, 'memory', f'{grown} bytes for {NR * SIZE}')
for path in ('heap/', ''):
	for type_name in ('fast', 'rest'):
		check(number(after, f"{path}total[@type='{type_name}']", 'count') > 0, f'{path}total {type_name}')
	check(number(after, f"{path}system[@type='max']", 'size') >= number(after, f"{path}system[@type='current']", 'size') and
		number(after, f"{path}aspace[@type='total']", 'size') >= number(after, f"{path}aspace[@type='mprotect']", 'size') > 0,
		f'{path}system, aspace', xml.tostring(after))
for size in after.findall('heap/sizes/size'):
	count, most = int(size.get('count')), int(size.get('to'))
	check(int(size.get('from')) <= most and count * most <= int(size.get('total')) and int(size.get('used')) + count > 0,
		f'size {most}', xml.tostring(size))
for p in objects:
	libc.free(p)
check(info(1) == (EINVAL, ''), 'options are refused, and nothing written', info(1))
check(all('=' in line for line in stats().splitlines()) and 'resident_bytes=' in stats(), 'malloc_stats()', stats())
sys.exit(bad)
