/* SPDX-License-Identifier: MIT */
/*
 * main.c - the fuzz target without a fuzzer.
 *
 *	fuzz_api FILE...	runs each file: what a fuzzer found
 *	fuzz_api [SEED]		runs the corpus, then random streams until TEST_OPS operations were made
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/testhook.h"
#include "common/check.h"
#include "fuzz.h"

#define STREAM_MAX ((size_t)64 << 10)

static uint8_t stream[STREAM_MAX];

static void run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	if (!file)
		check_broken(path);
	n = fread(stream, 1, sizeof(stream), file);
	fclose(file);
	LLVMFuzzerTestOneInput(stream, n);
	printf("ok fuzz %s\n", path);
}

static int is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static unsigned int run_corpus(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned int n = 0;
	char path[512];

	if (!dir)
		check_broken(folder);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (!is_file(path))
			continue;
		run_file(path);
		n++;
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	uint64_t wanted = (uint64_t)env_long("TEST_OPS", 200000);
	struct rng rng;

	if (argc > 1 && is_file(argv[1])) {
		for (int i = 1; i < argc; i++)
			run_file(argv[i]);
		return 0;
	}
#ifdef FUZZ_NO_MOVES
	nst_test_fail[NST_FAIL_MOVE] = -1;
#endif
	check(run_corpus(FUZZ_CORPUS) > 0, "fuzz: the corpus agrees with the model", "it is empty");
	rng.state = seed_of(argc, argv);
	while (fuzz_operations() < wanted) {
		size_t n = 64 + rng_below(&rng, (uint32_t)STREAM_MAX - 64);

		for (size_t i = 0; i < n; i++)
			stream[i] = (uint8_t)rng_next(&rng);
		LLVMFuzzerTestOneInput(stream, n);
	}
	check(1, "fuzz: random streams agree with the model", "-");
	printf("# %llu operations\n", (unsigned long long)fuzz_operations());
	return check_status();
}
