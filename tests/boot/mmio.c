// SPDX-License-Identifier: Apache-2.0
/*
 * mmio FILE ACCESS... - a device's memory, mapped by a file of sysfs. An access is a width in bits
 * (32, 64) and an offset, "32:0x98", whose value is printed; or with "=VALUE" it is written, and
 * with "?MASK" read until none of the mask's bits is set, for ten seconds.
 *
 * For tests: in a container, where nothing else is there to do it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile uint8_t *memory;
static size_t size;

static uint64_t load(size_t at, unsigned long width)
{
	return width == 64 ? *(volatile uint64_t *)(memory + at)
			   : *(volatile uint32_t *)(memory + at);
}

static int do_access(const char *text)
{
	unsigned long width, at;
	uint64_t value;
	char *end;

	width = strtoul(text, &end, 10);
	if ((width != 32 && width != 64) || *end != ':')
		return 2;
	at = strtoul(end + 1, &end, 0);
	if (at % (width / 8) || at > size - width / 8)
		return 2;
	value = *end ? strtoull(end + 1, NULL, 0) : 0;
	if (*end == '?') {
		for (int i = 0; load(at, width) & value; i++) {
			if (i == 10000)
				return 1;
			(void)usleep(1000);
		}
	} else if (*end == '=' && width == 64) {
		*(volatile uint64_t *)(memory + at) = value;
	} else if (*end == '=') {
		*(volatile uint32_t *)(memory + at) = (uint32_t)value;
	} else {
		printf("0x%llx\n", (unsigned long long)load(at, width));
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct stat st;
	int fd, r = 0;

	fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(argc > 1 ? argv[1] : "mmio");
		return 2;
	}
	size = (size_t)st.st_size;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	for (int i = 2; i < argc && r == 0; i++)
		r = do_access(argv[i]);
	return r;
}
