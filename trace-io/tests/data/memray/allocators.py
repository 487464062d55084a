import sys, memray
dest = memray.FileDestination(sys.argv[1], overwrite=True, compress_on_exit=True)
big = small = None
with memray.Tracker(destination=dest, trace_python_allocators=True):
    small = []
    for i in range(4):
        small.append((bytearray(2_000_000), [b'%060d' % j for j in range(300)]))
    del small[1]
