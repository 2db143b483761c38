; The right gateway. Before its policy is in force, what IPSECRULE says is allowed, in the clear.
IPCONFIG IPSECURITY DATAGRAMFWD
IPCONFIG6 IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE eth0 IPADDR 192.0.2.2/24
; The TUN has the address of the wire too, so that programs of this host (ikeD) can have sockets on it.
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.2.0.1/24 IPADDR 192.0.2.2/32
BEGINROUTES
  ROUTE 10.1.0.0/24 192.0.2.1 WIRE
ENDROUTES
IPSEC LOGENABLE
  IPSECRULE * * NOLOG PROTO *
ENDIPSEC
IPSECPOLICY 'stacks/RIGHT.policy'
