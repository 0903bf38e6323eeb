# SPDX-License-Identifier: MIT
"""plot - the ratios of bench/compare.py as bars: an SVG file that needs nothing."""
import os

COLOURS = ['#888888', '#d62728', '#1f77b4', '#2ca02c', '#ff7f0e', '#9467bd', '#8c564b', '#e377c2', '#bcbd22', '#17becf',
	'#444444']
BAR, GAP, LEFT, PANEL, TOP = 7, 10, 120, 330, 60
# Longer bars are cut, with their number.
MOST = 2.0


def text(x, y, what, anchor='start', size=11):
	return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{what}</text>'


def scale(left, height):
	"""Lines at each quarter; glibc's is the darker one."""
	out = []
	for quarter in range(int(MOST * 4) + 1):
		x = left + quarter / 4 / MOST * PANEL
		colour = '#000000' if quarter == 4 else '#dddddd'
		out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height}" stroke="{colour}" stroke-width="0.7"/>')
		if quarter % 2 == 0:
			out.append(text(x, TOP - 5, f'{quarter / 4:g}', 'middle', 9))
	return out


def bars(rows, names, key, left):
	out, y = [], TOP + GAP / 2
	for row in rows:
		for colour, who in zip(COLOURS, names):
			ratio = row.ratio(who, names[0], key) if row.speed or key == 'peak' else None
			if ratio is not None:
				long = min(ratio, MOST) / MOST * PANEL
				out.append(f'<rect x="{left}" y="{y:.1f}" width="{long:.1f}" height="{BAR - 1}" fill="{colour}"/>')
			if ratio is not None and ratio > MOST:
				out.append(text(left + PANEL + 3, y + BAR - 1, f'{ratio:.1f}', size=8))
			y += BAR
		y += GAP
	return out


def labels(rows, names):
	out, y = [], TOP + GAP / 2
	for row in rows:
		out.append(text(LEFT - 8, y + len(names) * BAR / 2 + 4, row.name, 'end'))
		y += len(names) * BAR + GAP
	return out


def legend(names):
	out = []
	for n, (colour, who) in enumerate(zip(COLOURS, names)):
		out.append(f'<rect x="{LEFT + n * 85}" y="8" width="10" height="10" fill="{colour}"/>')
		out.append(text(LEFT + n * 85 + 14, 17, who))
	return out


def write(path, question, rows):
	"""CPU time and peak resident memory beside each other, a group of bars a row; the first contestant is 1."""
	names = list(rows[0].runs) if rows else []
	height = TOP + len(rows) * (len(names) * BAR + GAP)
	right = LEFT + PANEL + 60
	width = max(right + PANEL + 40, LEFT + len(names) * 85)
	out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 10}" font-family="sans-serif">',
		f'<title>{question}: ratios to glibc</title>', f'<rect width="{width}" height="{height + 10}" fill="#ffffff"/>']
	for title, key, left in (('CPU time, x glibc', 'cpu', LEFT), ('peak resident memory, x glibc', 'peak', right)):
		out += [text(left, TOP - 22, title, size=12), *scale(left, height), *bars(rows, names, key, left)]
	out += labels(rows, names) + legend(names) + ['</svg>', '']
	with open(path + '.new', 'w', encoding='utf-8') as file:
		file.write('\n'.join(out))
	os.replace(path + '.new', path)
