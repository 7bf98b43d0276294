/* Certificates and CA bundles: may they be referred to, are they there, are they sound. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/translation.h"

/* A certificate with its key for a listener, or for connections to backends. Verdict reasons:
 * `bad_reason`, "RefNotPermitted"; without a reason, the message is a doubt about one that is used.
 */
struct verdict secrets_certificate(struct translation *t, struct piece *piece,
                                   const struct kind_object *referrer, const struct kind_ref *ref,
                                   const char *bad_reason, struct store_key *ret_secret);
/* A CA bundle in a ConfigMap. Reasons: "InvalidCACertificateRef", `kind_reason`,
 * "RefNotPermitted". */
struct verdict secrets_ca(struct translation *t, struct piece *piece,
                          const struct kind_object *referrer, const struct kind_ref *ref,
                          const char *kind_reason, struct store_key *ret_bundle);
/* Name of the Secret resource made of a Secret or a ConfigMap. */
struct text secrets_resource_name(struct arena *arena, struct store_key key);
/* The piece's resources name it. */
void secrets_add_want(struct translation *t, struct piece *piece, struct store_key key);
/* The Secret resource itself; NULL: the object is gone. */
struct piece *secrets_piece(struct translation *t, struct store_key key);
