/* Questions to the name servers that the system names, by glibc's resolver. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/dns.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <stdlib.h>

/* <sys/param.h>, which it includes, has its own. */
#undef MIN
#undef MAX

#include "base/limits.h"
#include "base/macros.h"
#include "base/memory.h"

/* Answers are 16 bit numbers of bytes long at most. */
#define MESSAGE_MAX 65535
#define QUESTION    512
#define SOA_NUMBERS 20 /* bytes at the end of an SOA; the last four are what we want */

/* The shortest time among the answers; false: no address is among them. */
static bool read_answers(ns_msg *message, uint32_t *ret_seconds)
{
    bool has_address = false;
    *ret_seconds = UINT32_MAX;
    for (int i = 0; i < ns_msg_count(*message, ns_s_an); i++) {
        ns_rr record;
        if (ns_parserr(message, ns_s_an, i, &record) != 0)
            return false;
        has_address =
            has_address || ns_rr_type(record) == ns_t_a || ns_rr_type(record) == ns_t_aaaa;
        *ret_seconds = MIN(*ret_seconds, ns_rr_ttl(record));
    }
    return has_address;
}

static bool read_absence(ns_msg *message, uint32_t *ret_seconds)
{
    for (int i = 0; i < ns_msg_count(*message, ns_s_ns); i++) {
        ns_rr record;
        if (ns_parserr(message, ns_s_ns, i, &record) != 0)
            return false;
        if (ns_rr_type(record) != ns_t_soa || ns_rr_rdlen(record) < SOA_NUMBERS)
            continue;
        const uint8_t *minimum = ns_rr_rdata(record) + ns_rr_rdlen(record) - 4;
        *ret_seconds = MIN(ns_rr_ttl(record), (uint32_t)ns_get32(minimum));
        return true;
    }
    return false;
}

bool dns_read(const uint8_t *message, size_t len, struct dns_time *ret_time)
{
    ns_msg parsed;
    if (len > MESSAGE_MAX || ns_initparse(message, (int)len, &parsed) != 0)
        return false;
    unsigned code = ns_msg_getflag(parsed, ns_f_rcode);
    ret_time->is_negative = false;
    if (code == ns_r_noerror && read_answers(&parsed, &ret_time->seconds))
        return true;
    ret_time->is_negative = true;
    return (code == ns_r_noerror || code == ns_r_nxdomain) &&
           read_absence(&parsed, &ret_time->seconds);
}

bool dns_ask(const char *host, bool is_v6, struct dns_time *ret_time)
{
    struct __res_state state = {0};
    uint8_t question[QUESTION];
    bool is_read = false;
    if (res_ninit(&state) != 0)
        return false;
    state.retrans = LIMIT_RESOLVE_WAIT_S;
    state.retry = 1;
    int len = res_nmkquery(&state, ns_o_query, host, ns_c_in, is_v6 ? ns_t_aaaa : ns_t_a, NULL, 0,
                           NULL, question, sizeof(question));
    if (len > 0) {
        uint8_t *answer = memory_alloc(MESSAGE_MAX);
        len = res_nsend(&state, question, len, answer, MESSAGE_MAX);
        is_read = len > 0 && dns_read(answer, (size_t)len, ret_time);
        free(answer);
    }
    res_nclose(&state);
    return is_read;
}
