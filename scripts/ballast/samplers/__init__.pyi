from ballast.picking import embed as embed
from ballast.picking import label as label
from ballast.picking import select as select
