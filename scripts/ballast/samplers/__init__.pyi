from ballast.api import embed as embed
from ballast.api import label as label
from ballast.api import select as select
