# SPDX-License-Identifier: MIT
"""programs_data - what bench/programs gives its programs to work on, the same each time."""
import os
import random
import subprocess

JSON = '''
import json, sys
def tree(n, depth):
    return {"id": n, "name": "node %d" % n, "weight": n / 7, "tags": ["t%d" % (n * k % 97) for k in range(n % 9)],
            "children": [tree(n * 5 + k, depth - 1) for k in range(5)] if depth else []}
text = json.dumps(tree(1, 5))
for i in range(int(sys.argv[1])):
    value = json.loads(text)
    value["round"] = i
    out = json.dumps(value, indent=i % 3 or None, sort_keys=i % 2 == 0)
print(len(out))
'''

OBJECTS = '''
import sys
class Node:
    def __init__(self, key, value):
        self.key, self.value, self.links = key, value, []
def build(n, salt):
    nodes = {}
    for i in range(n):
        node = Node("key %d" % (i * 7919 % n), [i, i * salt, str(i)])
        if i:
            node.links.append(nodes["key %d" % ((i - 1) * 7919 % n)])
        nodes[node.key] = node
    return nodes
total = 0
for i in range(int(sys.argv[1])):
    nodes = build(20011, i + 2)
    groups = {}
    for key, node in nodes.items():
        groups.setdefault(node.value[1] % 503, []).append((key.upper(), len(node.links)))
    total += sum(len(sorted(g)) for g in groups.values())
    words = ",".join(sorted(nodes)).split(",")
    total += len({w[::-1]: w for w in words})
print(total)
'''

SCHEMA = '''
create table item(id integer primary key, kind integer, name text, price real, note blob);
create table sale(id integer primary key, item integer, day integer, amount integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})
insert into item select i, i * 7919 % 211, printf('item %d of %d', i, i * 31 % 1009), i * 0.37, zeroblob(i % 50) from n;
insert into sale select id, id * 104729 % {rows} + 1, id * 17 % 365, id % 13 from item;
create index sale_day on sale(day);
'''

QUERY = '''
pragma temp_store = memory;
select kind, count(*), sum(price), max(length(name)) from item group by kind order by 3 desc limit 5;
select s.day, sum(s.amount * i.price) from sale s join item i on i.id = s.item group by s.day order by 2 desc limit 5;
create temp table named as select upper(name) || ' ' || kind as name, id, price from item where id % 3 <> 0;
create index temp.by_name on named(name);
select count(*), sum(n.price) from named n join item i on upper(i.name) || ' ' || i.kind = n.name;
select group_concat(name, '; ') from (select name from named order by price desc limit 20000) limit 0;
begin; update item set name = name || '!' where id % 5 = 0; delete from sale where day < 20;
select count(*) from item where name like '%!'; rollback;
'''


def write(path, lines):
	with open(path, 'w', encoding='utf-8') as file:
		file.write(lines)


def python(folder):
	write(os.path.join(folder, 'json_text.py'), JSON)
	write(os.path.join(folder, 'objects.py'), OBJECTS)


def database(folder, rows):
	subprocess.run(['sqlite3', 'a.db'], input=SCHEMA.format(rows=rows), text=True, cwd=folder, check=True)
	write(os.path.join(folder, 'query.sql'), QUERY)


def words(rng, count):
	"""So many words; common ones are short, as in real text."""
	return ['w' + format(int(rng.paretovariate(0.7)) % 50000, 'x') for _ in range(count)]


def text(folder, name, lines):
	rng = random.Random(1)
	write(os.path.join(folder, name), ''.join(f'{n} {rng.randrange(10**6)} {" ".join(words(rng, 6))}\n' for n in range(lines)))


def blob(lines):
	body = '\n'.join(lines) + '\n'
	return f'data {len(body)}\n{body}\n'


def history(folder, commits):
	"""A repository of that many commits, each of which changes some lines of three of forty files."""
	repo = os.path.join(folder, 'repo')
	if os.path.exists(repo):
		return
	rng = random.Random(2)
	files = [[' '.join(words(rng, 8)) for _ in range(300)] for _ in range(40)]
	stream = []
	for commit in range(commits):
		changed = range(40) if commit == 0 else rng.sample(range(40), 3)
		stream.append(f'commit refs/heads/main\ncommitter A <a@example.org> {1700000000 + commit * 60} +0000\n'
			f'data {len(str(commit)) + 7}\nchange {commit}\n')
		for f in changed:
			for _ in range(12):
				files[f][rng.randrange(len(files[f]))] = ' '.join(words(rng, 8))
			stream.append(f'M 644 inline d{f % 5}/file{f}\n' + blob(files[f]))
	git = ['git', '-c', 'init.defaultBranch=main']
	subprocess.run([*git, 'init', '-q', '--bare', repo], check=True)
	subprocess.run([*git, '-C', repo, 'fast-import', '--quiet'], input=''.join(stream), text=True, check=True)
