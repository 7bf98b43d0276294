/* Two self-signed certificates and their keys, good for a century: for tests alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define PEM_CHAIN_A                                                                                \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBoDCCAUegAwIBAgIUe4QHuTzew5JD1B4ssO/ZgwGpXxkwCgYIKoZIzj0EAwIw\n"                           \
    "GDEWMBQGA1UEAwwNYS5leGFtcGxlLmNvbTAgFw0yNjExMjMwMzU3MTRaGA8yMTI2\n"                           \
    "MTAzMDAzNTcxNFowGDEWMBQGA1UEAwwNYS5leGFtcGxlLmNvbTBZMBMGByqGSM49\n"                           \
    "AgEGCCqGSM49AwEHA0IABNKK0y6vApTL3XN8P6fm8cgoq98O3cgiPPzzboYFCJgQ\n"                           \
    "xEqfMwDJWWFvmyPA8RgofqD9lqyNdxC61KEbV2u5Ok2jbTBrMB0GA1UdDgQWBBQi\n"                           \
    "goF6hzz3Sw35QF3qZw7DAfcMXTAfBgNVHSMEGDAWgBQigoF6hzz3Sw35QF3qZw7D\n"                           \
    "AfcMXTAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWEuZXhhbXBsZS5jb20w\n"                           \
    "CgYIKoZIzj0EAwIDRwAwRAIgee26OroHZEd5ZH2sWCyBbUR2+9GZsO9B5xyzlpjK\n"                           \
    "xiICIG4SFtKV5t7/6cAc5Pj0QuRSeg0LFGgjOCDnA9yGuJkt\n"                                           \
    "-----END CERTIFICATE-----\n"

#define PEM_KEY_A                                                                                  \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgggUL0YN68y5UDibg\n"                           \
    "o7zWdpYRn4td7eJTIgJcfaHa9oahRANCAATSitMurwKUy91zfD+n5vHIKKvfDt3I\n"                           \
    "Ijz8826GBQiYEMRKnzMAyVlhb5sjwPEYKH6g/ZasjXcQutShG1druTpN\n"                                   \
    "-----END PRIVATE KEY-----\n"

#define PEM_CHAIN_B                                                                                \
    "-----BEGIN CERTIFICATE-----\n"                                                                \
    "MIIBojCCAUegAwIBAgIUYyu3nccNZ+LuECTSPBD5OZQD9z8wCgYIKoZIzj0EAwIw\n"                           \
    "GDEWMBQGA1UEAwwNYi5leGFtcGxlLmNvbTAgFw0yNjExMjMwMzU3MTRaGA8yMTI2\n"                           \
    "MTAzMDAzNTcxNFowGDEWMBQGA1UEAwwNYi5leGFtcGxlLmNvbTBZMBMGByqGSM49\n"                           \
    "AgEGCCqGSM49AwEHA0IABO0mOr3cHXsaSlje4dVgYWKzGy6K84yJt86sIcpqycQb\n"                           \
    "ajsd+VMgp8R3jK/3auKwY4ktCWbDCDvOyDBaB77oHPKjbTBrMB0GA1UdDgQWBBSy\n"                           \
    "RUzaE/ZF7TTMFK0eqkAYa/PlqTAfBgNVHSMEGDAWgBSyRUzaE/ZF7TTMFK0eqkAY\n"                           \
    "a/PlqTAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWIuZXhhbXBsZS5jb20w\n"                           \
    "CgYIKoZIzj0EAwIDSQAwRgIhAJF5WZ+hiQQvNPgKadiS58kHC1dkzCaqnZBNPCHn\n"                           \
    "1DHgAiEAr53uEhb1mBdBlrOkp92O8PGlYl5gIWs8Y1BcSM5Y9LU=\n"                                       \
    "-----END CERTIFICATE-----\n"

#define PEM_KEY_B                                                                                  \
    "-----BEGIN PRIVATE KEY-----\n"                                                                \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxqVmOc5sxk+8E2WY\n"                           \
    "ACwweWnLVfYjIArhWexKE8f2FdOhRANCAATtJjq93B17GkpY3uHVYGFisxsuivOM\n"                           \
    "ibfOrCHKasnEG2o7HflTIKfEd4yv92risGOJLQlmwwg7zsgwWge+6Bzy\n"                                   \
    "-----END PRIVATE KEY-----\n"
