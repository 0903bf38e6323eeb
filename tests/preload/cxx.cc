// SPDX-License-Identifier: MIT
/*
 * cxx.cc - R2: operators new and delete of every kind, containers, threads, and bad_alloc where memory ends.
 */
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>
extern "C" {
#include "preload.h"
}

namespace
{
struct alignas(64) line {
	char bytes[64];
};
struct alignas(8192) pages {
	char bytes[10000];
};

volatile std::size_t too_much = PTRDIFF_MAX;
char *volatile kept; // else the compiler may leave new and delete out

template <class T> bool one_and_many(std::size_t n)
{
	T *one = new T();
	T *many = new T[n]();
	bool good = is_ours(one) && reinterpret_cast<std::uintptr_t>(one) % alignof(T) == 0 &&
		    reinterpret_cast<std::uintptr_t>(many) % alignof(T) == 0;

	delete one;
	delete[] many;
	return good;
}

void operators()
{
	bool good = true;

	for (std::size_t n = 1; n < 2000; n = n * 2 + 1)
		good = good && one_and_many<char>(n) && one_and_many<std::string>(n) &&
		       one_and_many<line>(n) && one_and_many<pages>(n % 50 + 1);
	check(good, "new and delete, of one and of many, over-aligned too",
	      "not ours, or not aligned");
	for (std::size_t align = 16; align <= 65536; align *= 2) {
		void *p = ::operator new(100, std::align_val_t(align));

		good = good && reinterpret_cast<std::uintptr_t>(p) % align == 0;
		::operator delete(p, std::align_val_t(align));
		p = ::operator new(100, std::align_val_t(align), std::nothrow);
		::operator delete(p, 100, std::align_val_t(align));
		p = ::operator new(align);
		::operator delete(p, align);
	}
	check(good, "operator new with align_val_t, delete with size", "not aligned");
	check(!::operator new(too_much, std::nothrow), "new (nothrow) of too much is nullptr",
	      "it is not");
}

bool throws(std::size_t bytes)
{
	try {
		kept = new char[bytes];
		delete[] kept;
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

int handled;

void new_handler()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

void exceptions()
{
	int caught = 0;

	check(throws(too_much), "new of too much throws bad_alloc", "it does not");
	std::set_new_handler(new_handler);
	check(throws(too_much - 4096) && handled == 3, "after its new_handler had its turns",
	      "called %d times", handled);
	for (int i = 0; i < 1000; i++) {
		try {
			std::vector<std::string> v(10, std::string(100, 'x'));

			throw std::runtime_error("number " + std::to_string(i) + v[3]);
		} catch (const std::exception &e) {
			caught += std::strlen(e.what()) > 100;
		}
	}
	check(caught == 1000, "exceptions carry objects", "%d of 1000", caught);
}

int worker(int seed)
{
	std::map<std::string, std::unique_ptr<std::vector<int>>> map;
	int sum = 0;

	for (int i = 0; i < 3000; i++)
		map[std::to_string((i * 7 + seed) % 500) + "and a longer key than fits inside"]
			.reset(new std::vector<int>(static_cast<std::size_t>(i % 90) + 1, 1));
	for (auto &entry : map)
		sum += (*entry.second)[0];
	return sum;
}

void containers()
{
	std::vector<std::thread> threads;
	int sums[8] = {};
	bool good = true;

	for (int i = 0; i < 8; i++)
		threads.emplace_back([i, &sums] { sums[i] = worker(i); });
	for (auto &t : threads)
		t.join();
	for (int sum : sums)
		good = good && sum == 500;
	check(good, "containers in eight threads", "a sum is wrong");
}

// In a child, which has nothing else to lose: memory ends, is freed, and everything works again.
int under_limit()
{
	struct rlimit limit = {300u << 20, 300u << 20};
	std::vector<std::unique_ptr<char[]>> kept;
	bool thrown = false;

	setrlimit(RLIMIT_AS, &limit);
	try {
		for (int i = 0; i < 400; i++)
			kept.emplace_back(new char[1 << 20]);
		kept.emplace_back(new char[static_cast<std::size_t>(1) << 46]);
	} catch (const std::bad_alloc &e) {
		thrown = std::string(e.what()) == "std::bad_alloc";
	}
	if (!thrown || kept.size() < 64)
		return 2;
	kept.clear();
	return worker(3) == 500 && !throws(1 << 20) ? 0 : 3;
}

void bad_alloc_and_on()
{
	int status = 0;
	pid_t pid;

	std::fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(under_limit());
	waitpid(pid, &status, 0);
	check(status == 0, "bad_alloc under RLIMIT_AS, and the program goes on", "status %x",
	      static_cast<unsigned>(status));
}
} // namespace

int main()
{
	demand_preload();
	operators();
	exceptions();
	containers();
	bad_alloc_and_on();
	return check_status();
}
