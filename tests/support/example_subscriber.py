#!/usr/bin/python3
"""Hears every defensive filter that is added or removed. python3-zmq, python3-protobuf, and once:
protoc --python_out=. proto/*.proto"""
import os, zmq
from proto import common_pb2, defmgr_pb2
sub = zmq.Context().socket(zmq.SUB)
sub.connect("ipc://" + os.environ.get("RAVELIN_ROOT", "") + "/run/ravelin/defmgrD/events")
sub.subscribe("defmgr.filter.")
while True:
    topic, header, body = sub.recv_multipart()
    seq = common_pb2.EventHeader.FromString(header).seq
    print(topic.decode(), seq, defmgr_pb2.FilterEvent.FromString(body).filter.name, flush=True)
