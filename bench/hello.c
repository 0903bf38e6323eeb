/* SPDX-License-Identifier: MIT */
/*
 * hello.c - the hello-world of idle.c without the library.
 */
#include "hello.h"

int main(int argc, char **argv)
{
	return argc < 3 ? 2 : hello_report(argv[2]);
}
