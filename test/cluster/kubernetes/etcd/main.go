// etcd as its own module builds it; the module go.etcd.io/etcd/v3 is this main and tests.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
