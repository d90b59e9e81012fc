// SPDX-License-Identifier: Apache-2.0
#include "oci/yaml.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"

/* One mapping or list that is open. */
struct level {
	bool is_mapping;
	bool has_key;	 /* in a mapping: the key has been read, its value comes next */
	size_t path_len; /* of its own path, without what is in it */
	size_t entries;
	struct strv keys; /* of a mapping, all so far */
	yaml_mark_t start;
};

struct parse {
	oci_yaml_fn *fn;
	void *data;
	struct err *err;
	struct level levels[OCI_YAML_MAX_DEPTH];
	size_t depth;
	size_t documents;
	struct buf path;
};

static void parse_done(struct parse *p)
{
	for (size_t i = 0; i < OCI_YAML_MAX_DEPTH; i++)
		strv_done(&p->levels[i].keys);
	buf_done(&p->path);
}
CLEANUP_FUNC(struct parse, parse_done)

static void parser_done(yaml_parser_t *parser)
{
	yaml_parser_delete(parser);
}
CLEANUP_FUNC(yaml_parser_t, parser_done)

static int refuse(struct parse *p, yaml_mark_t at, int num, const char *what)
{
	return err_set(p->err, num, "%zu:%zu: %s", at.line + 1, at.column + 1, what);
}

static struct level *top(struct parse *p)
{
	return p->depth ? &p->levels[p->depth - 1] : NULL;
}

/* The path becomes that of the value that starts here; the level counts it. */
static int enter_value(struct parse *p, yaml_mark_t at)
{
	struct level *level = top(p);
	int r = 0;

	if (!level)
		return 0;
	if (level->is_mapping && !level->has_key)
		return refuse(p, at, -EINVAL, "a key must be a plain word or a string");
	if (level->entries >= OCI_YAML_MAX_ENTRIES)
		return refuse(p, at, -E2BIG, "too many entries in one mapping or list");
	p->path.len = level->path_len;
	if (!level->is_mapping)
		r = buf_addf(&p->path, "[%zu]", level->entries);
	else
		r = buf_addf(&p->path, "%s%s", level->path_len ? "." : "",
			     level->keys.at[level->keys.len - 1]);
	level->entries++;
	level->has_key = false;
	return r < 0 ? err_num(p->err, r, "parse YAML") : 0;
}

static int tell(struct parse *p, yaml_mark_t at, const char *text, bool is_plain)
{
	struct oci_yaml_scalar scalar = {
		.text = text,
		.is_plain = is_plain,
		.line = at.line + 1,
		.column = at.column + 1,
	};
	int r = buf_add(&p->path, "", 1);

	if (r < 0)
		return err_num(p->err, r, "parse YAML");
	p->path.len--;
	scalar.path = (const char *)p->path.at;
	r = p->fn(p->data, &scalar, p->err);
	return r < 0 ? err_wrap(p->err, r, "%zu:%zu", scalar.line, scalar.column) : 0;
}

static int take_key(struct parse *p, struct level *level, const char *key, yaml_mark_t at)
{
	int r;

	if (!key[0])
		return refuse(p, at, -EINVAL, "a key is empty");
	for (size_t i = 0; i < level->keys.len; i++) {
		if (strcmp(level->keys.at[i], key) == 0)
			return err_set(p->err, -EEXIST, "%zu:%zu: '%.64s' is there twice",
				       at.line + 1, at.column + 1, key);
	}
	r = strv_add(&level->keys, key);
	if (r < 0)
		return err_num(p->err, r, "parse YAML");
	level->has_key = true;
	return 0;
}

static int on_scalar(struct parse *p, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	struct level *level = top(p);
	int r;

	if (event->data.scalar.anchor || event->data.scalar.tag)
		return refuse(p, event->start_mark, -EINVAL, "anchors and tags are not taken");
	if (strlen(text) != event->data.scalar.length)
		return refuse(p, event->start_mark, -EINVAL, "a NUL is in the text");
	if (!level)
		return refuse(p, event->start_mark, -EINVAL,
			      "the file must be a mapping, 'key: value'");
	if (level->is_mapping && !level->has_key)
		return take_key(p, level, text, event->start_mark);
	r = enter_value(p, event->start_mark);
	if (r < 0)
		return r;
	return tell(p, event->start_mark, text,
		    event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
}

static int on_start(struct parse *p, bool is_mapping, bool is_named, yaml_mark_t at)
{
	struct level *level;
	int r;

	if (is_named)
		return refuse(p, at, -EINVAL, "anchors and tags are not taken");
	if (p->depth == 0 && !is_mapping)
		return refuse(p, at, -EINVAL, "the file must be a mapping, 'key: value'");
	r = enter_value(p, at);
	if (r < 0)
		return r;
	if (p->depth == OCI_YAML_MAX_DEPTH)
		return refuse(p, at, -E2BIG, "nested too deep");
	level = &p->levels[p->depth++];
	strv_done(&level->keys);
	*level = (struct level){ .is_mapping = is_mapping, .path_len = p->path.len, .start = at };
	return 0;
}

static int on_end(struct parse *p)
{
	struct level *level = &p->levels[--p->depth];

	p->path.len = level->path_len;
	return level->entries == 0 && p->depth > 0 ? tell(p, level->start, NULL, false) : 0;
}

static int on_event(struct parse *p, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(p, event);
	case YAML_MAPPING_START_EVENT:
		return on_start(p, true,
				event->data.mapping_start.anchor || event->data.mapping_start.tag,
				event->start_mark);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(p, false,
				event->data.sequence_start.anchor || event->data.sequence_start.tag,
				event->start_mark);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		return on_end(p);
	case YAML_ALIAS_EVENT:
		return refuse(p, event->start_mark, -EINVAL, "aliases are not taken");
	case YAML_DOCUMENT_START_EVENT:
		if (p->documents++)
			return refuse(p, event->start_mark, -EINVAL, "a second document starts");
		return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
	return 0;
}

static int refuse_syntax(struct parse *p, const yaml_parser_t *parser)
{
	yaml_mark_t at = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR)
		return err_num(p->err, -ENOMEM, "parse YAML");
	/* The reader, which finds bytes that are no text, knows an offset only. */
	if (parser->error == YAML_READER_ERROR)
		at = parser->mark;
	return refuse(p, at, -EINVAL, parser->problem ? parser->problem : "not YAML");
}

int oci_yaml_parse(struct bytes text, oci_yaml_fn *fn, void *data, struct err *err)
{
	CLEANUP(parse_done) struct parse p = { .fn = fn, .data = data, .err = err };
	CLEANUP(parser_done) yaml_parser_t parser = { 0 };
	bool ended = false;
	int r = 0;

	if (text.len > OCI_YAML_MAX_SIZE)
		return err_set(err, -E2BIG, "more than %d bytes", OCI_YAML_MAX_SIZE);
	if (!yaml_parser_initialize(&parser))
		return err_num(err, -ENOMEM, "parse YAML");
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, text.at ? text.at : (const uint8_t *)"", text.len);
	while (r == 0 && !ended) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event))
			return refuse_syntax(&p, &parser);
		ended = event.type == YAML_STREAM_END_EVENT;
		r = on_event(&p, &event);
		yaml_event_delete(&event);
	}
	return r;
}
