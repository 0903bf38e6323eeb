/* SPDX-License-Identifier: MIT */
/*
 * consumer.cc - the same from C++: modes combine with |, memory holds constructed objects.
 */
#include <nostall/nostall.h>
#include <cstdio>
#include <new>
#include <string>

struct message {
	std::string text;
	int number;
};

int main()
{
	nst_mode_t mode = NST_NORMAL | NST_ZERO;
	void *memory = nst_alloc(sizeof(message), mode);
	void *spare = nst_alloc(sizeof(message), NST_NORETRY);

	if (!memory || !spare)
		return 1;
	message *m = new (memory) message{"a text longer than the small-string buffer", 7};
	bool good = m->number == 7 && m->text.size() == 42;
	m->~message();
	nst_free(memory);
	nst_free_nolock(spare);
	nst_scope_t scope = nst_scope_enter(NST_SCOPE_NOLOCK);
	nst_free(nst_alloc_nolock(64));
	nst_scope_exit(scope);
	std::puts(good ? "ok consumer" : "not ok consumer: the object changed");
	return good ? 0 : 1;
}
