// SPDX-License-Identifier: Apache-2.0
/*
 * hwloc's XML, as `lstopo FILE.xml` writes it: version 1 (no attribute `version`), 2 and 3. The
 * form is that of hwloc.dtd and hwloc2.dtd in its sources. Read as a stream of events; nothing is
 * fetched, and a document that declares anything of its own (entities above all) is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "base/buf.h"
#include "machine/build_priv.h"
#include "machine/number_priv.h"

enum {
	HWLOC_DEPTH_MAX = 128,	    /* elements in elements */
	HWLOC_VALUE_MAX = 16384,    /* bytes of an attribute */
	HWLOC_MATRIX_MAX = 1 << 20, /* distances in one matrix, and bytes of their text times 8 */
};

/* An element that is open, and what it hands down to those in it. */
struct frame {
	bool is_object;
	int node; /* the one that all in it is near to; PCI_UNKNOWN: none or several */
	int package, core;
	bool is_pci, has_host; /* below a PCI function; below a host bridge */
	struct pci_address pci;
	int32_t root_bus;
	size_t draft; /* of is_pci: the function that this element is, if is_function */
	bool is_function;
	const char *vendor_name, *device_name;
};

struct matrix {
	bool is_open, is_done;
	size_t count; /* rows */
	int64_t base_milli;
	int32_t *indexes, *values;
	size_t index_count, value_count;
};

struct reader {
	struct machine_build *build;
	xmlParserCtxtPtr parser;
	struct frame frames[HWLOC_DEPTH_MAX];
	int depth;
	int core_count, package_count;
	struct matrix matrix;
	enum { TEXT_NONE, TEXT_INDEXES, TEXT_VALUES } text_for;
	struct buf text;
	int result;
	struct err *err;
};

struct attrs {
	const xmlChar **at; /* five pointers each: name, prefix, URI, value, its end */
	int count;
};

static void stop(struct reader *reader, int result)
{
	if (reader->result == 0)
		reader->result = result;
	xmlStopParser(reader->parser);
}

static void stop_memory(struct reader *reader)
{
	stop(reader, err_num(reader->err, -ENOMEM, "read hwloc's XML"));
}

static void refuse(struct reader *reader, const char *why)
{
	stop(reader, err_coded(reader->err, ERR_USAGE, -EINVAL, "read hwloc's XML: %s", why));
}

static struct bytes bytes_between(const xmlChar *from, const xmlChar *to)
{
	return (struct bytes){ from, (size_t)(to - from) };
}

/* .at is NULL if there is no such attribute. */
static struct bytes attr(const struct attrs *attrs, const char *name)
{
	int i;

	for (i = 0; i < attrs->count; i++) {
		const xmlChar **one = attrs->at + (ptrdiff_t)5 * i;

		if (strcmp((const char *)one[0], name) == 0 && one[4] - one[3] <= HWLOC_VALUE_MAX)
			return bytes_between(one[3], one[4]);
	}
	return (struct bytes){ 0 };
}

static int64_t number(const struct attrs *attrs, const char *name, int64_t max)
{
	return machine_number_decimal(attr(attrs, name), max);
}

/* The one bit that is set; PCI_UNKNOWN for none, several, or no bitmap. */
static int only_bit(struct bytes text)
{
	struct machine_mask mask;
	int id, found = PCI_UNKNOWN;

	if (!machine_number_bitmap(text, &mask))
		return PCI_UNKNOWN;
	for (id = 0; id <= MACHINE_CPU_ID_MAX; id++) {
		if (!machine_mask_has(&mask, id))
			continue;
		if (found >= 0)
			return PCI_UNKNOWN;
		found = id;
	}
	return found;
}

/* "0302 [10de:1db8] [10de:131d] a1 00"; the last, the interface, came with version 3. */
static void parse_type(struct bytes text, struct machine_device *device)
{
	int32_t *fields[] = { &device->class_code, &device->vendor, &device->device,
			      &device->subvendor, &device->subdevice };
	struct bytes word;
	int64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields) && machine_number_word(&text, " []:", &word); i++)
		*fields[i] = (int32_t)machine_number_hex(word, 0xffff);
	/* zeros are written for what hwloc was not told */
	if (device->vendor == 0) {
		device->vendor = device->device = PCI_UNKNOWN;
		if (device->class_code == 0)
			device->class_code = PCI_UNKNOWN;
	}
	if (device->subvendor == 0)
		device->subvendor = device->subdevice = PCI_UNKNOWN;
	if (machine_number_word(&text, " []:", &word))
		device->revision = (int16_t)machine_number_hex(word, 0xff);
	value = machine_number_word(&text, " ", &word) ? machine_number_hex(word, 0xff)
						       : PCI_UNKNOWN;
	if (device->class_code < 0)
		return;
	device->class_bits = value < 0 ? 16 : 24;
	device->class_code = device->class_code << 8 | (value < 0 ? 0 : (int32_t)value);
}

/* "0000:[2b-3b]": a domain and the buses behind a bridge. */
static bool parse_buses(struct bytes text, int32_t *ret_first, int32_t *ret_last)
{
	static const char stops[] = ":[-]";
	struct bytes domain, first, last;

	(void)machine_number_word(&text, stops, &domain);
	(void)machine_number_word(&text, stops, &first);
	(void)machine_number_word(&text, stops, &last);
	*ret_first = (int32_t)machine_number_hex(first, 0xff);
	*ret_last = (int32_t)machine_number_hex(last, 0xff);
	return *ret_first >= 0 && *ret_last >= *ret_first;
}

static void add_function(struct reader *reader, const struct attrs *attrs, bool is_bridge,
			 struct frame *frame)
{
	struct machine_draft draft;
	struct machine_device *device = &draft.device;
	struct bytes speed = attr(attrs, "pci_link_speed");
	int32_t first, last;
	int r;

	machine_draft_init(&draft);
	if (pci_address_parse(attr(attrs, "pci_busid"), &device->address) < 0)
		return refuse(reader, "a PCI device without an address");
	parse_type(attr(attrs, "pci_type"), device);
	device->numa = frame->node;
	device->bridge.present = is_bridge ? PCI_YES : PCI_NO;
	if (is_bridge && parse_buses(attr(attrs, "bridge_pci"), &first, &last)) {
		device->bridge.secondary = (int16_t)first;
		device->bridge.subordinate = (int16_t)last;
	}
	/* gigabytes a second; 0 is not known */
	if (speed.at && machine_number_milli(speed) > 0)
		device->link_mbps = machine_number_milli(speed);
	if (frame->is_pci || frame->has_host)
		draft.has_parent = frame->is_pci ? PCI_YES : PCI_NO;
	draft.parent = frame->pci;
	draft.root_bus = frame->root_bus;
	r = machine_build_device(reader->build, &draft, reader->err);
	if (r < 0)
		return stop(reader, r);
	frame->is_pci = frame->is_function = true;
	frame->pci = device->address;
	frame->draft = reader->build->draft_count - 1;
}

static void add_bridge(struct reader *reader, const struct attrs *attrs, struct frame *frame)
{
	int32_t last;

	/* 0 is the host's side, 1 is PCI */
	if (!bytes_is(attr(attrs, "bridge_type"), "0-1"))
		return add_function(reader, attrs, true, frame);
	frame->has_host = true;
	if (!parse_buses(attr(attrs, "bridge_pci"), &frame->root_bus, &last))
		frame->root_bus = PCI_UNKNOWN;
}

static void add_node(struct reader *reader, const struct attrs *attrs)
{
	struct machine_node_draft node = {
		.id = (int)number(attrs, "os_index", MACHINE_NODE_ID_MAX),
		.memory_bytes = number(attrs, "local_memory", INT64_MAX),
	};
	struct bytes cpus = attr(attrs, "cpuset");
	int r;

	if (node.id < 0)
		return refuse(reader, "a NUMA node without a number");
	node.cpus = arena_alloc(reader->build->arena, sizeof(*node.cpus));
	if (!node.cpus)
		return stop_memory(reader);
	if (!machine_number_bitmap(cpus, node.cpus))
		node.cpus = NULL;
	r = machine_build_node(reader->build, &node, reader->err);
	if (r < 0)
		stop(reader, r);
}

static void add_cpu(struct reader *reader, const struct attrs *attrs, const struct frame *frame)
{
	struct machine_cpu cpu = {
		.id = (int)number(attrs, "os_index", MACHINE_CPU_ID_MAX),
		.package = frame->package,
		.core = frame->core,
		.node = MACHINE_NONE,
		.is_online = PCI_UNKNOWN,
	};
	int r;

	if (cpu.id < 0)
		return refuse(reader, "a CPU without a number");
	r = machine_build_cpu(reader->build, &cpu, reader->err);
	if (r < 0)
		stop(reader, r);
}

static void start_object(struct reader *reader, const struct attrs *attrs, struct frame *frame)
{
	struct bytes type = attr(attrs, "type"), nodeset = attr(attrs, "nodeset");

	frame->is_object = true;
	if (nodeset.at)
		frame->node = only_bit(nodeset);
	if (bytes_is(type, "Package") || bytes_is(type, "Socket")) {
		frame->package = (int)number(attrs, "os_index", INT32_MAX);
		/* without a number of its own: by its turn */
		if (frame->package < 0)
			frame->package = reader->package_count;
		reader->package_count++;
	} else if (bytes_is(type, "Core")) {
		frame->core = reader->core_count++;
	} else if (bytes_is(type, "PU")) {
		add_cpu(reader, attrs, frame);
	} else if (bytes_is(type, "NUMANode") || bytes_is(type, "Node")) {
		add_node(reader, attrs);
	} else if (bytes_is(type, "Bridge")) {
		add_bridge(reader, attrs, frame);
	} else if (bytes_is(type, "PCIDev")) {
		add_function(reader, attrs, false, frame);
	}
}

static void keep(struct reader *reader, struct bytes text, const char **ret)
{
	if (*ret || !text.at)
		return;
	*ret = arena_strndup(reader->build->arena, (const char *)text.at, text.len);
	if (!*ret)
		stop_memory(reader);
}

static void start_info(struct reader *reader, const struct attrs *attrs, struct frame *above)
{
	struct machine_limits *limits = &reader->build->machine->limits;
	struct bytes name = attr(attrs, "name"), value = attr(attrs, "value");

	if (above->is_function && bytes_is(name, "PCIVendor"))
		keep(reader, value, &above->vendor_name);
	else if (above->is_function && bytes_is(name, "PCIDevice"))
		keep(reader, value, &above->device_name);
	else if (bytes_is(name, "CPUVendor"))
		keep(reader, value, &limits->cpu_vendor);
	else if (bytes_is(name, "CPUModel"))
		keep(reader, value, &limits->cpu_model);
	else if (bytes_is(name, "OSRelease"))
		keep(reader, value, &limits->kernel);
}

/* A matrix of latencies between NUMA nodes: version 1's in order, later ones' by a list. */
static void start_distances(struct reader *reader, const struct attrs *attrs, bool is_first)
{
	enum { MEANS_LATENCY = 4 };
	struct matrix *matrix = &reader->matrix;
	int64_t count = number(attrs, "nbobjs", MACHINE_NODES_MAX);
	int64_t kind = number(attrs, "kind", INT32_MAX);

	if (matrix->is_done || count <= 0)
		return;
	if (!is_first && (!bytes_is(attr(attrs, "type"), "NUMANode") || kind < 0 ||
			  !(kind & MEANS_LATENCY) || !bytes_is(attr(attrs, "indexing"), "os")))
		return;
	*matrix = (struct matrix){ .is_open = true, .count = (size_t)count, .base_milli = 1000 };
	if (is_first)
		matrix->base_milli = machine_number_milli(attr(attrs, "latency_base"));
	matrix->indexes =
		arena_array(reader->build->arena, matrix->count, sizeof(*matrix->indexes));
	matrix->values = arena_array(reader->build->arena, matrix->count * matrix->count,
				     sizeof(*matrix->values));
	if (!matrix->indexes || !matrix->values)
		stop_memory(reader);
}

static void add_value(struct matrix *matrix, int64_t value)
{
	if (matrix->value_count < matrix->count * matrix->count)
		matrix->values[matrix->value_count] =
			value >= 0 && value <= INT32_MAX ? (int32_t)value : PCI_UNKNOWN;
	matrix->value_count++;
}

static void start_latency(struct reader *reader, const struct attrs *attrs)
{
	struct matrix *matrix = &reader->matrix;
	int64_t milli = machine_number_milli(attr(attrs, "value"));

	if (milli < 0 || milli > INT32_MAX || matrix->base_milli < 0 ||
	    matrix->base_milli > INT32_MAX)
		add_value(matrix, PCI_UNKNOWN);
	else
		add_value(matrix, (milli * matrix->base_milli + 500000) / 1000000);
}

/* NOLINTNEXTLINE(readability-function-size): the form of libxml2's startElementNs */
static void on_start(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
		     int namespaces, const xmlChar **namespace, int count, int defaulted,
		     const xmlChar **at)
{
	struct reader *reader = data;
	struct attrs attrs = { at, count };
	const char *element = (const char *)name;
	struct frame *above, *frame;

	(void)prefix, (void)uri, (void)namespaces, (void)namespace, (void)defaulted;
	if (reader->depth + 1 >= HWLOC_DEPTH_MAX)
		return refuse(reader, "too many elements in each other");
	above = &reader->frames[reader->depth++];
	frame = above + 1;
	*frame = *above;
	frame->is_object = frame->is_function = false;
	frame->vendor_name = frame->device_name = NULL;
	if (strcmp(element, "object") == 0)
		start_object(reader, &attrs, frame);
	else if (strcmp(element, "info") == 0)
		start_info(reader, &attrs, above);
	else if (strcmp(element, "distances") == 0)
		start_distances(reader, &attrs, true);
	else if (strcmp(element, "distances2") == 0)
		start_distances(reader, &attrs, false);
	else if (strcmp(element, "latency") == 0 && reader->matrix.is_open)
		start_latency(reader, &attrs);
	else if (strcmp(element, "indexes") == 0 && reader->matrix.is_open)
		reader->text_for = TEXT_INDEXES;
	else if (strcmp(element, "u64values") == 0 && reader->matrix.is_open)
		reader->text_for = TEXT_VALUES;
}

static void end_text(struct reader *reader)
{
	struct matrix *matrix = &reader->matrix;
	struct bytes text = buf_bytes(&reader->text), word;

	while (text.len && machine_number_word(&text, " \n\t\r", &word)) {
		int64_t value = machine_number_decimal(word, INT32_MAX);

		if (reader->text_for == TEXT_VALUES) {
			add_value(matrix, value);
			continue;
		}
		if (matrix->index_count < matrix->count)
			matrix->indexes[matrix->index_count] = (int32_t)value;
		matrix->index_count++;
	}
	buf_drop(&reader->text, reader->text.len);
	reader->text_for = TEXT_NONE;
}

static void end_function(struct reader *reader, const struct frame *frame)
{
	struct machine_device *device = &reader->build->drafts[frame->draft].device;

	if (!frame->device_name)
		return;
	device->name = frame->device_name;
	if (frame->vendor_name)
		device->name = arena_printf(reader->build->arena, "%s %s", frame->vendor_name,
					    frame->device_name);
	if (!device->name)
		stop_memory(reader);
}

static void on_end(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct reader *reader = data;
	struct matrix *matrix = &reader->matrix;

	(void)prefix, (void)uri;
	if (reader->frames[reader->depth].is_function)
		end_function(reader, &reader->frames[reader->depth]);
	if (reader->text_for != TEXT_NONE)
		end_text(reader);
	if (matrix->is_open && strncmp((const char *)name, "distances", 9) == 0) {
		matrix->is_open = false;
		matrix->is_done = matrix->value_count == matrix->count * matrix->count;
	}
	reader->depth--;
}

static void on_text(void *data, const xmlChar *at, int len)
{
	struct reader *reader = data;

	if (reader->text_for == TEXT_NONE)
		return;
	if (reader->text.len + (size_t)len > 8 * HWLOC_MATRIX_MAX)
		return refuse(reader, "too many distances");
	if (buf_add(&reader->text, at, (size_t)len) < 0)
		stop_memory(reader);
}

/* Declarations in the document itself: nothing of hwloc's has any. */
static void on_entity(void *data, const xmlChar *name, int type, const xmlChar *public,
		      const xmlChar *system, xmlChar *content)
{
	(void)name, (void)type, (void)public, (void)system, (void)content;
	refuse(data, "it declares an entity");
}

static void on_element(void *data, const xmlChar *name, int type, xmlElementContentPtr content)
{
	(void)name, (void)type, (void)content;
	refuse(data, "it declares an element");
}

static void on_attribute(void *data, const xmlChar *element, const xmlChar *name, int type,
			 int fallback, const xmlChar *value, xmlEnumerationPtr tree)
{
	(void)element, (void)name, (void)type, (void)fallback, (void)value;
	/* ours to free: the default handler keeps it, this one is in its place */
	xmlFreeEnumeration(tree);
	refuse(data, "it declares an attribute");
}

static void on_notation(void *data, const xmlChar *name, const xmlChar *public,
			const xmlChar *system)
{
	(void)name, (void)public, (void)system;
	refuse(data, "it declares a notation");
}

/* Rows go to their nodes if the matrix is for all of them, in ascending order. */
static void place_distances(struct reader *reader)
{
	struct machine_build *build = reader->build;
	const struct matrix *matrix = &reader->matrix;
	size_t i, row;

	if (!matrix->is_done || matrix->count != build->node_count)
		return;
	for (i = 0; i < matrix->index_count && i < matrix->count; i++)
		if (matrix->indexes[i] < 0 || (i && matrix->indexes[i] <= matrix->indexes[i - 1]))
			return;
	for (i = 0; i < build->node_count; i++) {
		struct machine_node_draft *node = &build->nodes[i];

		/* without a list: in the order of the nodes, which is that of their numbers */
		for (row = 0; row < matrix->index_count && row < matrix->count; row++)
			if (matrix->indexes[row] == node->id)
				break;
		if (!matrix->index_count)
			row = i;
		if (row >= matrix->count)
			continue;
		node->distances = matrix->values + row * matrix->count;
		node->distance_count = matrix->count;
	}
}

static int parse(struct reader *reader)
{
	xmlSAXHandler *sax = reader->parser->sax;
	const xmlError *why;

	memset(sax, 0, sizeof(*sax));
	sax->initialized = XML_SAX2_MAGIC;
	sax->startElementNs = on_start;
	sax->endElementNs = on_end;
	sax->characters = on_text;
	sax->entityDecl = on_entity;
	sax->elementDecl = on_element;
	sax->attributeDecl = on_attribute;
	sax->notationDecl = on_notation;
	reader->parser->userData = reader;
	(void)xmlCtxtUseOptions(reader->parser, XML_PARSE_NONET);
	(void)xmlParseDocument(reader->parser);
	if (reader->result < 0)
		return reader->result;
	if (reader->parser->wellFormed)
		return 0;
	why = xmlCtxtGetLastError(reader->parser);
	return err_coded(reader->err, ERR_USAGE, -EINVAL, "read hwloc's XML: line %d is broken",
			 why ? why->line : 0);
}

int machine_hwloc_decode(struct arena *arena, struct bytes xml, struct machine **ret,
			 struct err *err)
{
	CLEANUP(machine_build_done) struct machine_build build = { 0 };
	struct reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader || xml.len > MACHINE_CAPTURE_TEXT_MAX ||
	    machine_build_start(arena, "hwloc", &build) < 0) {
		free(reader);
		return err_num(err, -ENOMEM, "read hwloc's XML");
	}
	reader->build = &build;
	reader->err = err;
	reader->frames[0] = (struct frame){ .node = PCI_UNKNOWN,
					    .package = PCI_UNKNOWN,
					    .core = PCI_UNKNOWN,
					    .root_bus = PCI_UNKNOWN };
	reader->parser = xmlCreateMemoryParserCtxt((const char *)xml.at, (int)xml.len);
	r = reader->parser ? parse(reader) : err_num(err, -ENOMEM, "read hwloc's XML");
	/* declarations make a document of their own, which nobody else frees */
	if (reader->parser)
		xmlFreeDoc(reader->parser->myDoc);
	xmlFreeParserCtxt(reader->parser);
	buf_done(&reader->text);
	if (r >= 0)
		place_distances(reader);
	free(reader);
	if (r >= 0 && !build.draft_count && !build.cpu_count)
		r = err_coded(err, ERR_USAGE, -EINVAL,
			      "read hwloc's XML: no PCI device and no CPU in it");
	return r < 0 ? r : machine_build_finish(&build, ret, err);
}
