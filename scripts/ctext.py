# SPDX-License-Identifier: MIT
"""ctext - what the check scripts share: C source as text, its functions, and how to complain."""
import os
import re
import sys

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
FUNCTION = re.compile(
	r'^[A-Za-z_][^;{}#()]*?\b(\w+)\s*\([^;{}]*?\)[^;{}()]*(?:\([^;{}]*?\)[^;{}()]*)*\n\{', re.M)
MACRO = re.compile(r'^#\s*define\s+(\w+)\(.*(?:\\\n.*)*', re.M)


def blank(text, strings=True):
	"""The code alone: comments (and the insides of strings) become spaces, lines stay lines."""
	def hide(match):
		token = match.group()
		if token[0] in '"\'':
			if not strings:
				return token
			return token[0] + ' ' * (len(token) - 2) + token[0]
		return re.sub(r'[^\n]', ' ', token)
	return TOKEN.sub(hide, text)


def line_of(text, offset):
	return text.count('\n', 0, offset) + 1


def functions(code):
	"""(name, start, end) of each function body and function-like macro; code is from blank()."""
	found = []
	for match in FUNCTION.finditer(code):
		end = code.find('\n}', match.end())
		found.append((match[1], match.start(), len(code) if end < 0 else end + 2))
	for match in MACRO.finditer(code):
		found.append((match[1], match.start(), match.end()))
	return sorted(found, key=lambda f: f[1])


def function_at(found, offset):
	for name, start, end in found:
		if start <= offset < end:
			return name
	return None


def sources(root, folders, endings=('.c', '.h')):
	"""Paths relative to root, sorted."""
	out = []
	for folder in folders:
		for path, dirs, names in os.walk(os.path.join(root, folder)):
			dirs[:] = sorted(d for d in dirs if d not in ('build', '.git'))
			out += [os.path.relpath(os.path.join(path, n), root)
				for n in names if n.endswith(endings)]
	return sorted(out)


def read(root, path):
	with open(os.path.join(root, path), encoding='utf-8', errors='replace') as file:
		return file.read()


class Complaints:
	"""file:line: what is wrong; the exit status at the end."""
	def __init__(self, name):
		self.name, self.count = name, 0

	def __call__(self, path, line, what):
		self.count += 1
		print(f'{path}:{line}: {what}' if line else f'{path}: {what}')

	def done(self, summary):
		if self.count:
			print(f'{self.name}: {self.count} wrong')
			sys.exit(1)
		print(f'{self.name}: {summary}')
