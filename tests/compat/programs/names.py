"""Everything from the top level, as the examples of both old libraries import it.

3
[2, 4]
500 ms is 0.5 s
map in the graph
"""

from tornado import gen

from rapidz import (
    Stream,
    apply,
    convert_interval,
    create_graph,
    get_io_loop,
    identity,
    logger,
    sync,
)

print(apply(max, [1, 2], [3]))
source = Stream()
seen = source.map(identity).map(lambda x: 2 * x).sink_to_list()
for x in (1, 2):
    source.emit(x)
print(seen)
print("500 ms is", convert_interval("500ms"), "s")
sync(get_io_loop(), gen.sleep, 0.001)
logger.debug("done")

import networkx

graph = networkx.DiGraph()
create_graph(source, graph)
if any("map" in str(data.get("node", lambda: "")()) for _, data in graph.nodes(data=True)):
    print("map in the graph")
