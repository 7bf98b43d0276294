/* The formats of texts in the Gateway API and core kinds: what their CRDs give as patterns. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/decode.h"

extern const struct decode_format format_label;       /* RFC 1123 label: namespaces */
extern const struct decode_format format_subdomain;   /* RFC 1123 subdomain: most names */
extern const struct decode_format format_object_name; /* 1 to 253 characters */
extern const struct decode_format format_group;       /* a subdomain, or empty */
extern const struct decode_format format_kind;
extern const struct decode_format format_hostname; /* a wildcard may be the first label */
extern const struct decode_format format_precise_hostname;
extern const struct decode_format format_section;
extern const struct decode_format format_controller; /* example.com/gateway */
extern const struct decode_format format_header_name;
extern const struct decode_format format_header_value;
extern const struct decode_format format_match_value; /* of GRPCRoute's headers */
extern const struct decode_format format_query_value;
extern const struct decode_format format_method;
extern const struct decode_format format_cors_method; /* or * */
extern const struct decode_format format_path;        /* at most 1024 characters */
extern const struct decode_format format_clean_path;  /* of path bytes, as in a URI */
extern const struct decode_format format_grpc_name;
extern const struct decode_format format_protocol;
extern const struct decode_format format_address_type;
extern const struct decode_format format_address;
extern const struct decode_format format_option_key;
extern const struct decode_format format_label_key;
extern const struct decode_format format_annotation_key;
extern const struct decode_format format_data_key;
extern const struct decode_format format_origin;
extern const struct decode_format format_uri;
extern const struct decode_format format_well_known_ca;
extern const struct decode_format format_description;
extern const struct decode_format format_ip;
extern const struct decode_format format_cidr;
extern const struct decode_format format_port_name;
extern const struct decode_format format_transport;    /* TCP, UDP, SCTP */
extern const struct decode_format format_service_type; /* ClusterIP, ... */

bool format_is_method(struct text text);
bool format_is_ip(struct text text); /* IPv4 or IPv6 */
bool format_is_grpc_service(struct text text);
bool format_is_grpc_method(struct text text);
