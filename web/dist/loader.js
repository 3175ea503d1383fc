(()=>{var o="@parlor-config";console.log(o);})();
