# SPDX-License-Identifier: MIT
"""compare - programs under glibc's malloc, ours and the peers': CPU time and memory, side by side.

Each run is a process of its own, the library preloaded as its users would. Within a row the contestants
take turns, in another order each round; a ratio is the median over the rounds of two runs of one round,
so that both saw the same minute of the machine. CPU time is user and system time of the process and the
children it waited for; the peak is the largest of one of them.

A program is fixed work. What it prints of itself as base_kib= and settled_kib= is taken over.
"""
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import plot

OURS, GLIBC = 'nostall', 'glibc'
TIMEOUT = 180
QUICK = os.environ.get('QUICK', '0') not in ('', '0')
ROUNDS = int(os.environ.get('BENCH_ROUNDS', '1' if QUICK else '3'))
PERCENT = 5 if QUICK else 100


def amount(full):
	"""That part of the full work which is done."""
	return max(1, full * PERCENT // 100)


class Failed(Exception):
	"""A run that says nothing of speed; the text says why."""


class Row:
	"""run(preload) -> figures of one run. Rows that are not of speed stay out of the means."""

	def __init__(self, name, what, run, speed=True):
		self.name, self.what, self.run, self.speed = name, what, run, speed
		self.runs = {}

	def values(self, who, key):
		"""One value a round; None where there is none."""
		return [run.get(key) for run in self.runs.get(who, [])]

	def median(self, who, key):
		values = [v for v in self.values(who, key) if v is not None]
		return statistics.median(values) if values else None

	def ratio(self, who, other, key='cpu'):
		pairs = zip(self.values(who, key), self.values(other, key))
		ratios = [a / b for a, b in pairs if a is not None and b]
		return statistics.median(ratios) if ratios else None

	def best_peer(self, key='cpu', among=None):
		peers = [w for w in self.runs if w != OURS and (not among or w in among) and self.median(w, key)]
		return min(peers, key=lambda w: self.median(w, key)) if peers else None


def peers():
	"""[(name, path)], as scripts/bench found them."""
	return [tuple(p.split('=', 1)) for p in os.environ.get('BENCH_PEERS', '').split(':') if '=' in p]


def contestants():
	"""[(name, preload)]"""
	found = [(GLIBC, '-')]
	ours = os.environ.get('BENCH_OURS', '')
	if os.access(ours, os.R_OK):
		found.append((OURS, ours))
	else:
		print(f'# no library of ours at "{ours}": run scripts/bench')
	return found + peers()


# ---- one run ----

def values_of(text):
	"""The numbers of key=value words."""
	return {key: int(value) for key, value in re.findall(r'\b(\w+)=(-?\d+)\b', text)}


def figures(text):
	"""(MiB and seconds, exit status) out of what a run and bench/measure print."""
	raw = values_of(text)
	found = {}
	if 'user_us' in raw:
		found['cpu'] = (raw['user_us'] + raw['system_us']) / 1e6
		found['wall'] = raw['wall_us'] / 1e6
	found.update({key: raw[key + '_kib'] / 1024 for key in ('peak', 'base', 'settled') if key + '_kib' in raw})
	if 'base' in found and 'settled' in found:
		found['above'] = found['settled'] - found['base']
	return found, raw.get('status')


class Process:
	"""A program under bench/measure; finish() waits for it and returns its figures."""

	def __init__(self, bench, preload, command, cwd=None, env=None, keep_output=False):
		reader, writer = os.pipe()
		out = subprocess.PIPE if keep_output else subprocess.DEVNULL
		clean = {k: v for k, v in os.environ.items() if k not in ('LD_PRELOAD', 'NOSTALL_CONF')}
		self.child = subprocess.Popen([os.path.join(bench, 'measure'), str(writer), preload, *command],
			pass_fds=[writer], cwd=cwd, env={**clean, 'LC_ALL': 'C', **(env or {})}, stdin=subprocess.DEVNULL,
			stdout=out, stderr=subprocess.PIPE, text=True, start_new_session=True)
		os.close(writer)
		self.reader = os.fdopen(reader, encoding='utf-8')

	def finish(self):
		with self.reader:
			try:
				out, err = self.child.communicate(timeout=TIMEOUT)
			except subprocess.TimeoutExpired:
				self.kill()
				raise Failed(f'not done after {TIMEOUT} s') from None
			found, status = figures((out or '') + self.reader.read())
		if 'cannot be preloaded' in err:
			raise Failed('the library cannot be preloaded')
		if status != 0:
			raise Failed(f'status {status}: {" ".join(err.split())[:100]}')
		return found

	def kill(self):
		"""The program and what it started."""
		os.killpg(self.child.pid, signal.SIGKILL)
		self.child.communicate()


# ---- rounds and tables ----

def measure_row(row, among):
	for r in range(ROUNDS):
		turn = r % len(among)
		for who, preload in among[turn:] + among[:turn]:
			try:
				found = row.run(who, preload)
			except Failed as why:
				print(f'# {row.name}, {who}: {why}')
				found = {}
			row.runs.setdefault(who, []).append(found)
	row.runs = {who: row.runs[who] for who, _ in among}


def number(value, width, digits):
	return f'{value:{width}.{digits}f}' if value is not None else '-'.rjust(width)


def spread(row, who, key, pick):
	values = [v for v in row.values(who, key) if v is not None]
	return pick(values) if values else None


def print_row(row):
	best = row.best_peer()
	print(f'\n{row.name}: {row.what}')
	print(f'  {"":<11} {"CPU s":>7} {"min":>7} {"max":>7} {"x glibc":>8} {"x " + str(best):>12} {"wall s":>7}'
		f' {"peak MiB":>9} {"max":>8} {"x glibc":>8} {"settled":>8} {"above base":>11}')
	for who in row.runs:
		print(f'  {who:<11} {number(row.median(who, "cpu"), 7, 3)} {number(spread(row, who, "cpu", min), 7, 3)}'
			f' {number(spread(row, who, "cpu", max), 7, 3)} {number(row.ratio(who, GLIBC), 8, 2)}'
			f' {number(row.ratio(who, best), 12, 2)} {number(row.median(who, "wall"), 7, 2)}'
			f' {number(row.median(who, "peak"), 9, 2)} {number(spread(row, who, "peak", max), 8, 2)}'
			f' {number(row.ratio(who, GLIBC, "peak"), 8, 2)} {number(row.median(who, "settled"), 8, 2)}'
			f' {number(row.median(who, "above"), 11, 2)}')


def mean(ratios):
	"""Geometric; None if one is missing, since means of different rows do not compare."""
	return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios and all(ratios) else None


def mean_of(rows, who, key='cpu'):
	return mean([row.ratio(who, GLIBC, key) for row in rows if row.speed])


def print_matrix(title, rows, key):
	"""Ratios to glibc, row by contestant, with geometric mean and worst."""
	names = list(rows[0].runs)
	timed = [row for row in rows if row.speed or key == 'peak']
	print(f'\n{title}\n  {"":<15}' + ''.join(f'{who:>12}' for who in names))
	for row in timed:
		print(f'  {row.name:<15}' + ''.join(number(row.ratio(who, GLIBC, key), 12, 2) for who in names)
			+ ('' if row.speed else '   not in the mean'))
	print(f'  {"geometric mean":<15}' + ''.join(number(mean_of(rows, who, key), 12, 3) for who in names))
	worst = [max((row.ratio(who, GLIBC, key) or 0 for row in timed if row.speed), default=None) for who in names]
	print(f'  {"worst":<15}' + ''.join(number(w, 12, 2) for w in worst))


def what_is(preload):
	"""The file, by the name that tells its version."""
	return 'not preloaded' if preload == '-' else os.path.basename(os.path.realpath(preload))


def answer(question, bench, rows, extra, plots):
	"""Measures the rows and prints all there is to say; `extra(rows)`: lines on the aims; `plots`: files to draw."""
	subprocess.run([os.path.join(bench, 'measure'), '--header', question], check=True)
	among = contestants()
	for who, preload in among:
		print(f'# {who}: {what_is(preload)}')
	print(f'# {ROUNDS} round(s) at {PERCENT} % of the work')
	for row in rows:
		measure_row(row, among)
		print_row(row)
		sys.stdout.flush()
	if rows:
		print_matrix('CPU time, x glibc', rows, 'cpu')
		print_matrix('peak resident, x glibc', rows, 'peak')
		print('\naims')
		for line in aims(rows) + extra(rows):
			print(f'  {line}')
	for path in plots:
		plot.write(path, question.split(':', maxsplit=1)[0], rows)


def aims(rows):
	"""What both questions want of us."""
	means = {who: mean_of(rows, who) for who in rows[0].runs}
	others = {who: m for who, m in means.items() if who != OURS and m}
	if not means.get(OURS) or not others:
		return ['no mean: not every row could be measured']
	best = min(others, key=others.get)
	speed = [row for row in rows if row.speed and row.ratio(OURS, GLIBC)]
	worst = max(speed, key=lambda row: row.ratio(OURS, GLIBC))
	return [
		f'CPU time, geometric mean: {means[OURS]:.3f} against {others[best]:.3f} of {best}, the best peer:'
		f' {means[OURS] / others[best]:.3f} (aim at most 1.0)',
		f'CPU time, worst: {worst.ratio(OURS, GLIBC):.2f} x glibc in {worst.name} (aim at most 1.05)']
