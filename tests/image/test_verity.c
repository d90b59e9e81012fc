// SPDX-License-Identifier: Apache-2.0
#include "image/verity.h"

#include <openssl/evp.h>

#include "memory.h"

/* Made with veritysetup 2.6.1 over blocks full of their number modulo 251. */
static const struct vector {
	uint64_t blocks;
	uint64_t tree_blocks;
	const char *root;
	const char *tree; /* its SHA-256 */
} vectors[] = {
	{ 1, 0, "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7",
	  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ 2, 1, "dd9c4d99ab2332f88ff3bd4cb99e3db16fea710ecbc8cef4b7e237fc5765401b",
	  "dd9c4d99ab2332f88ff3bd4cb99e3db16fea710ecbc8cef4b7e237fc5765401b" },
	{ 128, 1, "eade1212c3a6dd9dd817bf456bf067c41cdb483af154c5d0890d32744b7e4f6b",
	  "eade1212c3a6dd9dd817bf456bf067c41cdb483af154c5d0890d32744b7e4f6b" },
	{ 129, 3, "f0dbc433d6188c4e8e30ee2de31ee90ab1edf2fd7438d97feab12f75375886ad",
	  "410ef0a7cde20283700a89e12300d9bbc0d96043c2a7c830a62579487f6cce34" },
	{ 16385, 132, "782e251d56bb96c667a59e2bcd44726d659bd335a49621cbfc23c1f2715e725d",
	  "351929497dba5677d4f6c06f5187f17e5b351a9a86553d7ef49ba0bb0ba1cd77" },
};

static int collect(void *data, struct bytes block, struct err *err)
{
	(void)err;
	assert_int_equal(block.len, IMAGE_VERITY_BLOCK);
	return buf_add(data, block.at, block.len);
}

static int refuse(void *data, struct bytes block, struct err *err)
{
	(void)data;
	(void)block;
	return err_set(err, -ENOSPC, "full");
}

static void assert_hex(const uint8_t *hash, const char *want)
{
	char hex[2 * IMAGE_VERITY_HASH + 1];

	for (size_t i = 0; i < IMAGE_VERITY_HASH; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	assert_string_equal(hex, want);
}

static struct image_verity *over(uint64_t blocks)
{
	uint8_t block[IMAGE_VERITY_BLOCK];
	struct image_verity *verity;

	assert_int_equal(image_verity_new(&verity), 0);
	for (uint64_t i = 0; i < blocks; i++) {
		memset(block, (int)(i % 251), sizeof(block));
		assert_int_equal(image_verity_add(verity, block), 0);
	}
	return verity;
}

static void is_what_veritysetup_makes(void **state)
{
	uint8_t hash[IMAGE_VERITY_HASH];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		CLEANUP(image_verity_free) struct image_verity *verity = over(vectors[i].blocks);
		CLEANUP(buf_done) struct buf tree = { 0 };

		assert_int_equal(image_verity_finish(verity, collect, &tree, hash, NULL), 0);
		assert_hex(hash, vectors[i].root);
		assert_int_equal(tree.len, vectors[i].tree_blocks * IMAGE_VERITY_BLOCK);
		assert_int_equal(image_verity_tree_blocks(vectors[i].blocks),
				 vectors[i].tree_blocks);
		assert_true(EVP_Digest(tree.at, tree.len, hash, NULL, EVP_sha256(), NULL));
		assert_hex(hash, vectors[i].tree);
	}
}

static void a_block_can_be_set_late(void **state)
{
	CLEANUP(image_verity_free) struct image_verity *verity = NULL;
	CLEANUP(buf_done) struct buf tree = { 0 };
	uint8_t block[IMAGE_VERITY_BLOCK] = { 1 }, hash[IMAGE_VERITY_HASH];

	(void)state;
	assert_int_equal(image_verity_new(&verity), 0);
	assert_int_equal(image_verity_add(verity, block), 0);
	memset(block, 1, sizeof(block));
	assert_int_equal(image_verity_add(verity, block), 0);
	memset(block, 0, sizeof(block));
	assert_int_equal(image_verity_set(verity, 0, block), 0);
	assert_int_equal(image_verity_finish(verity, collect, &tree, hash, NULL), 0);
	assert_hex(hash, vectors[1].root);
}

static void nothing_has_no_tree(void **state)
{
	CLEANUP(image_verity_free) struct image_verity *verity = over(0);
	uint8_t hash[IMAGE_VERITY_HASH];
	struct err err = no_err;

	(void)state;
	assert_int_equal(image_verity_finish(verity, collect, NULL, hash, &err), -EINVAL);
	assert_int_equal(err.num, -EINVAL);
}

static void what_emit_says_is_passed_on(void **state)
{
	CLEANUP(image_verity_free) struct image_verity *verity = over(2);
	uint8_t hash[IMAGE_VERITY_HASH];

	(void)state;
	assert_int_equal(image_verity_finish(verity, refuse, NULL, hash, NULL), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_what_veritysetup_makes),
		cmocka_unit_test(a_block_can_be_set_late),
		cmocka_unit_test(nothing_has_no_tree),
		cmocka_unit_test(what_emit_says_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
