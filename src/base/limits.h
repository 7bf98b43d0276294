/* Every bound of the project, with its reason. Reaching one is ERR_LIMIT, a counter and a log word;
 * never a crash, never silence. Times in milliseconds, sizes in bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* HTTP messages, both sides. */
#define LIMIT_REQUEST_LINE       65536 /* 414; longer than any browser sends */
#define LIMIT_HEADER_BYTES       65536 /* 431; all fields of a head together, trailers too */
#define LIMIT_HEADER_COUNT       100   /* 431; as h2o and Envoy */
#define LIMIT_CHUNK_EXTENSIONS   16384 /* 400; all extensions of a message */
#define LIMIT_CHUNK_OVERHEAD     4     /* framing bytes per data byte, judged after 64 KiB */
#define LIMIT_CHUNK_OVERHEAD_MIN 65536
#define LIMIT_EMPTY_LINES        4     /* before a request line */
#define LIMIT_PIPELINED_BYTES    65536 /* unread requests of one connection */
#define LIMIT_INFORMATIONAL      8     /* 1xx answers to one request */
#define LIMIT_BODY_BUFFER        65536 /* held per direction and stream before the source waits */
#define LIMIT_BUFFER_BLOCK       16384 /* what a connection borrows while it works */
#define LIMIT_LINGER_MS          1000  /* after a refusal, so that the client sees the status */
#define LIMIT_LINGER_BYTES       65536

/* Clients. */
#define LIMIT_HANDSHAKE_MS   10000
#define LIMIT_HANDSHAKE_RATE 1000 /* a second from one address: a quarter of a core; who share one
                                   * at a carrier, thousands, begin fewer */
#define LIMIT_HANDSHAKE_SHARED_MS 10000 /* so long does somebody else's handshake make it hold */
#define LIMIT_HANDSHAKE_TOLD_MS 10000 /* between two lines that say who begins more */
#define LIMIT_TICKET_KEY_MS  43200000 /* session tickets: a new key twice a day */
#define LIMIT_HEADER_MS      10000  /* 408; first byte of a request to its last header byte */
#define LIMIT_BODY_MS        60000  /* 408; without any progress */
#define LIMIT_PROXY_PROTOCOL 2048   /* behind the 16 bytes of a version 2 header */
#define LIMIT_IDLE_MS        75000  /* keep-alive, as nginx */
#define LIMIT_WRITE_MS       60000  /* a client that reads nothing */
#define LIMIT_CONNECTIONS    100000 /* per worker; beyond: close at accept, counted */
#define LIMIT_FD_RESERVE     64     /* kept for state, logs and admin when descriptors run out */
#define LIMIT_ACCEPT_BATCH   64     /* connections accepted in one turn */

/* HTTP/2 (RFC 9113), both ends. */
#define LIMIT_H2_STREAMS             100
#define LIMIT_H2_STREAM_WINDOW       65535
#define LIMIT_H2_CONNECTION_WINDOW   1048576
#define LIMIT_H2_FRAME               16384
#define LIMIT_H2_TABLE               4096
#define LIMIT_H2_CONTINUATIONS       64
#define LIMIT_H2_CONTROL_QUEUE       1000
#define LIMIT_H2_RESETS              200 /* in LIMIT_H2_RESET_MS, either direction */
#define LIMIT_H2_RESET_MS            30000
#define LIMIT_H2_PING_WAIT_MS        20000  /* for the answer to a PING, then the peer is dead */
#define LIMIT_H2_EMPTY_DATA          8      /* in a row */
#define LIMIT_H2_EMPTY_CONTINUATIONS 8      /* of one head */
#define LIMIT_H2_REQUESTS            100000 /* of one connection; then GOAWAY, so that load moves */
#define LIMIT_H2_READS               4      /* blocks of one client before others' turn */
#define LIMIT_H2_OUT                 65536  /* frames encoded ahead of the socket */

/* The event loop. */
#define LIMIT_SILENT_MS        60000 /* a TCP peer that acknowledges nothing; as LIMIT_WRITE_MS */
#define LIMIT_READY_BATCH     256   /* ready descriptors told in one turn */
#define LIMIT_TIMER_STEP_MS   100   /* timers go ahead by this of what was told, then it is first */
#define LIMIT_DEFER_ROUNDS    16    /* work that puts off more work: the rest waits a turn */
#define LIMIT_BLOCKS_KEPT     1024  /* free buffer blocks a loop keeps: 16 MiB */
#define LIMIT_SPARES          256   /* memory of streams a loop keeps, each version: 1.6 MiB */
#define LIMIT_LISTEN_BACKLOG  4096  /* connections the kernel holds for us; capped by somaxconn */
#define LIMIT_ACCEPT_PAUSE_MS 100   /* when descriptors ran out: then try again */
#define LIMIT_TLS_BACKLOG     65536 /* encrypted bytes a stream holds for a slow peer */

/* Upstream. */
#define LIMIT_CONNECT_MS       5000
#define LIMIT_UPSTREAM_IDLE_MS 60000
#define LIMIT_UPSTREAM_MS      0     /* answer timeout when the route names none: none */
#define LIMIT_POOL_IDLE        512   /* per worker and endpoint: what 5 busy HTTP/2 clients use */
#define LIMIT_TUNNEL_IDLE_MS   3600000 /* connections carried as bytes: as Envoy's tcp_proxy */
#define LIMIT_TUNNEL_ROUNDS    16      /* pieces moved for one connection before others' turn */
#define LIMIT_SPLICE           65536   /* bytes in a pipe: what the kernel gives it unasked */
#define LIMIT_PIPES_KEPT       64      /* empty ones, per worker, for the next who moves bytes */
#define LIMIT_CLIENT_HELLO     16384   /* read ahead of a TLS route; browsers send 2 KiB */
#define LIMIT_UDP_FLOWS        16384   /* per worker; beyond: strangers are dropped */
#define LIMIT_UDP_IDLE_MS      60000   /* RFC 4787 asks NATs for 2 min; answers come sooner */
#define LIMIT_UDP_DRAIN_MS     1000    /* the same while we end: for the answer to a question */
#define LIMIT_UDP_BATCH        64      /* datagrams of one socket before others' turn */
#define LIMIT_TUNNEL_END_MS    10000 /* for the second direction, once the first has ended */
#define LIMIT_ZONE_IN_PERCENT  50      /* fewer of our zone in: its load goes to all zones */
#define LIMIT_CONNECT_RETRIES  3     /* other endpoints tried when a connect fails */
#define LIMIT_ENDPOINTS        10000 /* per backend */
#define LIMIT_RING_POINTS      160   /* for one unit of weight, as ketama: shares within a few % */
#define LIMIT_RING_MAX         1000000 /* points of one ring: 10 MB */
#define LIMIT_MAGLEV_SIZE      65537   /* a prime, over 100 times the usual number of endpoints */
#define LIMIT_ENDPOINT_WEIGHT  1000    /* against 1: bounds the work of making a Maglev table */
#define LIMIT_POOL_TURN_MS     50      /* who waits so long in another worker is next */
#define LIMIT_RETRY_PAUSE_MS   25      /* before the first retry that a route names; then doubled */
#define LIMIT_RETRY_ATTEMPTS   100     /* as the conformance suite uses */

/* Mirrored requests. */
#define LIMIT_MIRRORS          1024        /* under way per worker; beyond: no copy is made */
#define LIMIT_MIRROR_BODY      (1u << 20)  /* of a copy, not yet taken: then it is given up */
#define LIMIT_MIRROR_BYTES     (64u << 20) /* the same of all copies of a worker */
#define LIMIT_MIRROR_ANSWER_MS 15000       /* behind the request's end: nobody wants the answer */

/* Services that the gateway asks by itself. */
#define LIMIT_EXTERNAL_AUTH_MS 5000        /* for the answer; then the request is refused */
#define LIMIT_INQUIRY_ANSWER   (256u << 10)
#define LIMIT_HELD_BODY        (10u << 20) /* of a request that a filter reads before it goes on */
#define LIMIT_HEALTH_SERVICE 100 /* bytes of the name that a gRPC health check asks for */
#define LIMIT_HEALTH_PROBES  256 /* questions of health checks under way at once */

/* Host names of backends. */
#define LIMIT_RESOLVE_MS       30000 /* between two lookups when no server tells a time to live */
#define LIMIT_RESOLVE_MIN_MS   1000    /* a time to live of 0 */
#define LIMIT_RESOLVE_MAX_MS   3600000 /* longer ones save nothing, and hide a move for long */
#define LIMIT_RESOLVE_RETRY_MS 2000    /* after a failure */
#define LIMIT_RESOLVE_NONE_MS  30000   /* a name that is not there may come at any time */
#define LIMIT_RESOLVE_WAIT_S   1       /* for a server to say how long; addresses wait for it */
#define LIMIT_RESOLVE_THREADS  4

/* Rate limits. */
#define LIMIT_RATE_KEYS 65536 /* keys remembered per rule and worker; the oldest goes */

/* gRPC and xDS. */
#define LIMIT_GRPC_MESSAGE     (4u << 20)  /* what a stock client takes by default */
#define LIMIT_GRPC_RECEIVE     (64u << 20) /* from a control plane: a large resource set */
#define LIMIT_GRPC_WINDOW      (1u << 20)  /* of one stream: a push takes few round trips */
#define LIMIT_GRPC_PING_MS     310000 /* stock servers cut off who pings more often than 5 min */
#define LIMIT_XDS_PUSH         (1u << 20) /* aim for one response; a set is cut into several */
#define LIMIT_XDS_STREAMS      10000
#define LIMIT_XDS_RESOURCES    2000000
#define LIMIT_PROTO_DEPTH      64    /* protobuf-c has no bound of its own */
#define LIMIT_PROTO_EXPANSION  16    /* memory per wire byte when unpacking */
#define LIMIT_PROTO_SLACK      65536 /* and this much more: small messages are mostly structs */
#define LIMIT_RESOURCE_NAME    1024  /* four Kubernetes names of 253 and what stands between */
#define LIMIT_VERSION_KINDS    32    /* watched kinds in a version vector */
#define LIMIT_VERSION_KIND     63
#define LIMIT_RECORD_TYPES     64 /* named by a commit record that changes followed */
#define LIMIT_XDS_LOG          65536  /* changes remembered for slow streams; older: resync */
#define LIMIT_XDS_ACK_MS       30000  /* an unanswered snapshot stops holding back the next */
#define LIMIT_XDS_RETURN_MS    12000  /* LIMIT_RECONNECT_MAX_MS, and the way */
#define LIMIT_XDS_SUBSCRIBED   100000 /* names one stream may subscribe to one by one */
#define LIMIT_XDS_NODES_GONE   256    /* nodes that left and are still listed */
#define LIMIT_XDS_LINGER_MS    1000   /* a wrong digest may mend itself before the stream is cut */
#define LIMIT_REPORT_BYTES     (1u << 20) /* one report of a data plane */
#define LIMIT_REPORT_RATE      20 /* reports taken per LIMIT_REPORT_MS and stream; others drop */
#define LIMIT_RECONNECT_MIN_MS 100
#define LIMIT_RECONNECT_MAX_MS 10000
#define LIMIT_REPORT_MS        1000 /* between two reports of a data plane */

/* The Kubernetes API server. */
#define LIMIT_KUBE_BODY        (256u << 20) /* one page of a list */
#define LIMIT_KUBE_LINE        (8u << 20)   /* one event: an object has at most 3 MiB */
#define LIMIT_KUBE_PAGE        500          /* objects asked for in one page, as client-go */
#define LIMIT_KUBE_WINDOW      (1u << 20)
#define LIMIT_KUBE_CONNECTIONS 64    /* over HTTP/1 each watch has its own */
#define LIMIT_KUBE_CALL_MS     30000 /* one answer */
#define LIMIT_KUBE_LIST_MS     60000 /* one page: a cold API server reads all of etcd */
#define LIMIT_KUBE_PING_MS     10000 /* with LIMIT_H2_PING_WAIT_MS: a dead peer shows in 30 s */
#define LIMIT_KUBE_SILENCE_MS  120000 /* a watch without a line: bookmarks come each minute */
#define LIMIT_KUBE_IDLE_MS     300000
#define LIMIT_KUBE_WATCH_S     300    /* asked for; then the server ends it, up to twice as long */
#define LIMIT_KUBE_RELIST_MS   600000 /* at most, between two lists, should an event get lost */
#define LIMIT_KUBE_MISSING_MS  5000   /* between two looks for a kind that is not installed */
#define LIMIT_KUBE_RETRY_MIN_MS 200
#define LIMIT_KUBE_RETRY_MAX_MS 30000
#define LIMIT_KUBE_GATHER_MS   5      /* changes that come so close to the first are one run */
#define LIMIT_KUBE_WRITES      16     /* in flight at once */
#define LIMIT_KUBE_WRITE_MS    200    /* between two writes of one object: changes join meanwhile */
#define LIMIT_KUBE_BUNDLE_MS   60000  /* between two looks for another release of Gateway API */
#define LIMIT_KUBE_SECRET_MS   5000   /* a change waits so long for a Secret that it names */
#define LIMIT_KUBE_EVENTS      128    /* told last, of which a repetition is known as such */
#define LIMIT_KUBE_EVENT_BURST 25     /* new Events at once; then one each: as client-go's filter */
#define LIMIT_KUBE_EVENT_REFILL_MS 2000
#define LIMIT_KUBE_EVENT_MS    5000   /* between two writes of one Event */
#define LIMIT_KUBE_EVENT_SERIES_MS 600000 /* of silence: then it is a new one, as in client-go */
#define LIMIT_KUBECONFIGS      32     /* files that $KUBECONFIG may list */
#define LIMIT_PLUGIN_MS        60000  /* for a credential: what asks the network takes seconds */
#define LIMIT_PLUGIN_LOGIN_MS  300000 /* where a person logs in meanwhile */
#define LIMIT_PLUGIN_OUTPUT    (1u << 20) /* a certificate, its key and a token */
#define LIMIT_PLUGIN_COMPLAINT 2048   /* of what it says on stderr, the first bytes are shown */
/* Between those of a status that never rests: 1,000 routes attached in 80 s are under 80 writes. */
#define LIMIT_KUBE_STEADY_MS   1000
#define LIMIT_STATUS_PARENTS   32     /* the schemas' bounds */
#define LIMIT_STATUS_ANCESTORS 16
#define LIMIT_LEASE_MS         10000 /* a follower takes over after so long without a renewal */
#define LIMIT_LEASE_HOLD       70    /* percent of it: who could not renew writes no more */
#define LIMIT_KUBE_COVER_MS    5000  /* between two lists because a data plane holds more */
#define LIMIT_KUBE_BACK_MS     20000 /* no cache lags so long: the state went back */
#define LIMIT_RELAY_MS         30000 /* between two words of a replica without news */
#define LIMIT_RELAY_GONE_MS    600000 /* a replica that said nothing for so long is gone */
#define LIMIT_RELAY_BYTES      (192u << 10) /* of one: annotations of an object have 256 KiB */
#define LIMIT_RELAY_REFUSALS   64    /* refused resources in it, the newest */
#define LIMIT_RELAY_PEERS      64
#define LIMIT_GATEWAY_PORTS    512   /* of one Gateway with all its ListenerSets */
#define LIMIT_KUBE_APPLY_MS    300000 /* then what was provisioned is applied again */
#define LIMIT_AUTHORITY_S 315360000 /* ten years: of the control plane's own authority */
#define LIMIT_CERTIFICATE_S 2592000 /* 30 days: of the certificates that it makes by it */
#define LIMIT_LEASE_RELEASE_MS 2000  /* at the end */

/* Configuration. */
#define LIMIT_FAULTS             1000
#define LIMIT_FILE_BYTES         (256u << 20) /* one YAML or JSON file */
#define LIMIT_FILE_FORMS         16 /* copies with faults of one file; older ones go */
#define LIMIT_YAML_NODES         20000000
#define LIMIT_YAML_DEPTH         64
#define LIMIT_YAML_ALIAS_NODES   1000000 /* what the aliases of one file stand for, together */
#define LIMIT_FILES_READING      (64u << 20) /* of files that are read and parsed side by side */
#define LIMIT_PARALLEL           8           /* threads that do so */
#define LIMIT_DEBOUNCE_MS        20      /* after the last change in a directory */
#define LIMIT_DEBOUNCE_MAX_MS    500
#define LIMIT_DIRECTORY_POLL_MS  2000 /* targets of links, which tell nobody */
#define LIMIT_DIRECTORY_RETRY_MS 500  /* while the directory itself is away */
#define LIMIT_REGEX_BYTES        4096
#define LIMIT_REGEX_PROGRAM      (1u << 20)
#define LIMIT_HOSTNAME           253
#define LIMIT_PORT_RETRY_MIN_MS  2000       /* a listener whose port another program has */
#define LIMIT_PORT_RETRY_MAX_MS  60000      /* each try makes two snapshots */
#define LIMIT_STATE_RETRY_MS     5000       /* when the snapshot could not be kept on disk */
#define LIMIT_SNAPSHOT_BYTES     (1u << 30) /* the state file */

/* The process's memory (src/data/ceiling.h). */
#define LIMIT_MEMORY_SHARE    75  /* percent of the cgroup's limit: the kernel's buffers count */
#define LIMIT_MEMORY_TIGHT    90  /* percent of the bound from which nothing is kept for later */
#define LIMIT_MEMORY_CLOSED   110 /* percent of it from which new connections are closed */
#define LIMIT_MEMORY_SLACK    5   /* percent below a mark before its level ends */
#define LIMIT_MEMORY_FAR_MS   100 /* between two looks while less than a quarter is used */
#define LIMIT_MEMORY_NEAR_MS  10  /* and else: 2 us each */
#define LIMIT_MEMORY_AGAIN_MS 500 /* between two sweeps of what has become idle meanwhile */
#define LIMIT_SWEEP_GONE      8   /* clients of a worker that left: then memory is given back */
#define LIMIT_SWEEP_MS        2000 /* after the last of these; a sweep takes about 1 ms */
#define LIMIT_MEMORY_RETRY    "1" /* seconds, told to clients that got 503 */

/* Draining. */
#define LIMIT_DRAIN_DELAY_MS   0
#define LIMIT_DRAIN_TIMEOUT_MS 60000
#define LIMIT_POD_DELAY_MS     5000  /* a pod that ends is sent to until every node has heard */
#define LIMIT_DRAIN_IDLE_MS    500   /* an idle HTTP/1 client may have sent a request just now */
#define LIMIT_TAKE_OVER_ASK_MS  5000  /* a step of the talk between two data planes */
#define LIMIT_TAKE_OVER_MS      60000 /* until the one that follows serves; else the old stays */
#define LIMIT_TAKE_OVER_IDLE_MS 5000  /* for LIMIT_DRAIN_IDLE_MS: nobody waits for the old one */
#define LIMIT_TAKE_OVER_KEPT_MS 10000 /* sockets that no snapshot of the new one names yet */

/* Logs. */
#define LIMIT_LOG_LINE  16384
#define LIMIT_LOG_QUEUE (4u << 20) /* bytes waiting for a slow sink; then lines are dropped */

/* Metrics. */
#define LIMIT_METRIC_ROUTES 4000 /* labelled entries per worker; the rest: one overflow series */

/* The admin ports. */
#define LIMIT_ADMIN_CONNECTIONS 256
#define LIMIT_ADMIN_BODY        (1u << 20)
#define LIMIT_VIEWERS           64    /* tokens that are known to be good */
#define LIMIT_VIEWER_KNOWN_MS   60000 /* the API server is asked about them again after that */
#define LIMIT_VIEWER_REVIEWS    8     /* questions to it at a time, which strangers can cause */
#define LIMIT_VIEWER_TOKEN      16384 /* bytes; those of a service account have about 1,000 */
#define LIMIT_SETTLE_ROUNDS     64 /* of deferred work when a loop ends */
