// SPDX-License-Identifier: MIT
/*
 * plugin.cc - a C++ library to load and unload: objects of its own from start to end, thread-local ones
 * too, and some that the program frees.
 */
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace
{
std::map<int, std::string> table = [] {
	std::map<int, std::string> made;

	for (int i = 0; i < 200; i++)
		made[i] = std::string(static_cast<std::size_t>(i), 'p');
	return made;
}();
thread_local std::vector<std::string> local;
} // namespace

extern "C" char *plugin_text(int n)
{
	return strdup(table[n % 200].c_str());
}

// Only for threads that end before the library goes: it stays while somebody has such objects.
extern "C" char *plugin_local(int n)
{
	for (int i = 0; i < n; i++)
		local.push_back(table[i % 200]);
	return strdup(local.back().c_str());
}
