#!/usr/bin/python3
"""Asks defmgrD for the filters of a stack: example_caller.py STACK. Needs what example_subscriber.py needs."""
import os, sys, zmq
from proto import common_pb2, defmgr_pb2
rpc = zmq.Context().socket(zmq.DEALER)
rpc.connect("ipc://" + os.environ.get("RAVELIN_ROOT", "") + "/run/ravelin/defmgrD/rpc")
request = defmgr_pb2.ListRequest(stack=sys.argv[1])
rpc.send_multipart([b"defmgr.List", b"any id", request.SerializeToString()])
call_id, status, *body = rpc.recv_multipart()
status = common_pb2.Status.FromString(status)
print([f.name for f in defmgr_pb2.ListReply.FromString(body[0]).filters] if body else status.text)
