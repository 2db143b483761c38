"""Two stacks, LEFT and RIGHT, with a dynamic tunnel between them that the program at hand installs as ikeD would."""
import hashlib
import time

import rv

PROFILE = """IPCONFIG IPSECURITY
INTERFACE WIRE DEFINE AFPACKET DEVICE wire0 IPADDR 192.0.2.{me}/24
INTERFACE HOST DEFINE TUN DEVICE tun0 IPADDR 10.{me}.0.1/24
WORKERS {workers}
BEGINROUTES
 ROUTE 10.{peer}.0.0/24 192.0.2.{peer} WIRE
{more}ENDROUTES
IPSECPOLICY '{policy}'
"""
POLICY = """IpService all {{ Protocol all
  Direction Bidirectional
  Routing Either }}
IpGenericFilterAction ipsec {{ IpFilterAction IpSec }}
IpDataOffer offer {{ HowToEncap Tunnel
  HowToEncrypt AES_GCM_16 KeyLength 128
  HowToAuth ESP NULL }}
IpDynVpnAction vpn {{ Initiation Either
  IpDataOfferRef offer }}
IpLocalStartAction never {{ AllowOnDemand No }}
IpFilterPolicy {{
 IpFilterRule Net {{ IpSourceAddr 10.{me}.0.0/24
  IpDestAddr 10.{peer}.0.0/24
  IpServiceRef all
  IpGenericFilterActionRef ipsec
  IpDynVpnActionRef vpn
  IpLocalStartActionRef never }}
}}
"""
ME = {"LEFT": 1, "RIGHT": 2}


def write_profile(name, workers=2, more=""):
    """The profile and the policy of stack @name; @more: lines of its BEGINROUTES."""
    me = ME[name]
    policy = rv.write("stacks/%s.policy" % name, POLICY.format(me=me, peer=3 - me))
    rv.write("stacks/%s.profile" % name, PROFILE.format(me=me, peer=3 - me, workers=workers, more=more, policy=policy))


def generation(name, number, udp=False, **more):
    """Generation @number of tunnel Y1 as stack @name installs it: what one end sends the other opens."""
    me, peer = ME[name], 3 - ME[name]
    d = rv.protos().stack.DynamicTunnel(tunnel_id="Y1", generation=number, parent_id="K1", rule="Net", vpn_action="vpn", local="192.0.2.%d" % me,
                                        remote="192.0.2.%d" % peer, tunnel_mode=True, protocol=3, esp_transform=20, key_bits=128, auth=0, esn=True,
                                        owner_data=b"owner", hard_us=int((time.time() + 7200) * 1e6), **more)
    if udp:
        d.udp, d.local_port, d.remote_port = True, 4500, 4500
    d.selector.local_low, d.selector.local_high = "10.%d.0.0" % me, "10.%d.0.255" % me
    d.selector.remote_low, d.selector.remote_high = "10.%d.0.0" % peer, "10.%d.0.255" % peer
    for half, owner in ((getattr(d, "in"), me), (d.out, peer)):
        half.spi = 4096 + 16 * number + owner
        half.encryption_key = key(number, owner)
    return d


def key(number, owner):
    """What @owner (1, 2) receives by."""
    return hashlib.sha512(b"%d %d" % (number, owner)).digest()[:20]
